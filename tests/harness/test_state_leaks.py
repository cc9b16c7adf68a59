"""HTTP clients, locks, context variables and policies that tests and fixtures leave, in whole runs."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")

PRELUDE = """
    import contextvars
    import warnings
    import aiohttp
    import httpx
    KEPT = []
    TENANT = contextvars.ContextVar("tenant")
    uno = pytest.mark.uno_async
    def set_policy(policy):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            asyncio.set_event_loop_policy(policy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        class Policy(asyncio.DefaultEventLoopPolicy): pass
"""

LEAKS = {
    "UNO409": "KEPT.append(aiohttp.ClientSession())",
    "UNO502": "KEPT.append(asyncio.Lock()); await KEPT[-1].acquire()",
    "UNO504": "set_policy(Policy())",
}


@pytest.mark.parametrize("clock", ["virtual", "real"])
@pytest.mark.parametrize("rule", LEAKS)
def test_a_test_that_leaks_fails(project: Any, rule: str, clock: str) -> None:
    result = project.run(
        f"""{PRELUDE}
    @uno(clock="{clock}")
    async def test_leaks():
        {LEAKS[rule]}
    @uno
    async def test_innocent(): pass
    """
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines([f"{rule} *", "*in test_leaks"])


@pytest.mark.parametrize("scope", ["function", "module", "session"])
@pytest.mark.parametrize("rule", LEAKS)
def test_a_fixture_that_leaks_is_blamed(project: Any, rule: str, scope: str) -> None:
    result = project.run(
        f"""{PRELUDE}
    @pytest.fixture(scope="{scope}")
    async def hub():
        {LEAKS[rule]}
        yield
    @uno
    async def test_only(hub): pass
    """
    )
    assert project.outcomes(result) == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines([f"{rule} *", "*in hub", f"*owner*fixture 'hub' ({scope}, *"])


@pytest.mark.parametrize("scope", ["function", "class", "module"])
def test_a_sync_fixture_that_leaves_a_variable_is_blamed(project: Any, scope: str) -> None:
    result = project.run(
        f"""{PRELUDE}
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
        f"""{PRELUDE}
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
        f"""{PRELUDE}
    @pytest.fixture(scope="module")
    def tenant():
        TENANT.set("acme")
    def test_only(tenant):
        assert not hasattr(httpx.AsyncClient, "__del__")
    """
    )
    assert project.outcomes(result) == {"passed": 1}
