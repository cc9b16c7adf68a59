"""Context variables that tests and fixtures leave, in whole runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.leak_examples import STATE

pytestmark = pytest.mark.usefixtures("collected")


@pytest.mark.parametrize("scope", ["function", "class", "module"])
def test_a_sync_fixture_that_leaves_a_variable_is_blamed(project: Any, scope: str) -> None:
    result = project.run(
        f"""{STATE.prelude}
    @pytest.fixture(scope="{scope}")
    def tenant():
        TENANT.set("acme")
        yield
    @uno
    async def test_only(tenant): assert TENANT.get() == "acme"
    """
    )
    assert project.outcomes(result) == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines(["UNO503 *", "*created*in tenant", f"*owner*fixture 'tenant' ({scope}, *"])


def test_variables_that_no_later_test_sees_are_silent(project: Any) -> None:
    project.pytester.makeconftest(
        """
        import contextvars
        import pytest
        REQUEST = contextvars.ContextVar("request")
        @pytest.fixture(autouse=True)
        def request_of_each_test(request):
            REQUEST.set(request.node.name)
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_call(item):
            REQUEST.set(item)
        """
    )
    result = project.run(
        f"""{STATE.prelude}
    @pytest.fixture
    async def tenant():
        TENANT.set("acme")
    @pytest.fixture(scope="session", autouse=True)
    def locale():
        TENANT.set("session")
    @uno
    async def test_first(tenant):
        assert TENANT.get() == "acme"
        TENANT.set("own")
    @uno
    async def test_second(tenant): pass
    """
    )
    assert project.outcomes(result) == {"passed": 2}


def test_a_project_without_uno_tests_is_left_alone(project: Any) -> None:
    result = project.run(
        f"""{STATE.prelude}
    @pytest.fixture(scope="module")
    def tenant():
        TENANT.set("acme")
    def test_only(tenant):
        assert not hasattr(httpx.AsyncClient, "__del__")
    """
    )
    assert project.outcomes(result) == {"passed": 1}
