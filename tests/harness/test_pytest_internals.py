"""The private names of pytest and pytest-asyncio: one clear sentence when one is gone."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
import pytest_asyncio.plugin

from pytest_uno.harness import pytest_internals
from pytest_uno.harness.pytest_internals import (
    RUNNER_MODULE,
    SCOPES,
    check_pytest_asyncio,
    fixture_definitions,
    fixture_loop_scope,
    fixtures_identity,
    forget_failed_setup,
    ini_keys,
    is_adopted_by_pytest_asyncio,
    is_marked_async_fixture,
    is_unittest_item,
    loop_factory,
    mark_async_fixture,
    protocol_implementers,
    requesting_item,
    run_item,
    runner_fixture_name,
    unmark_async_fixture,
)

Item = pytest_asyncio.plugin.PytestAsyncioFunction


def test_the_installed_pytest_asyncio_has_every_name() -> None:
    check_pytest_asyncio()


@pytest.mark.parametrize("scope", SCOPES)
def test_every_scope_has_its_runner_fixture(scope: str) -> None:
    fixture = getattr(pytest_asyncio.plugin, runner_fixture_name(scope))
    assert inspect.unwrap(fixture).__module__ == RUNNER_MODULE


@pytest.mark.parametrize(
    ("owner", "name", "reported"),
    [
        (pytest_asyncio.plugin, "_function_scoped_runner", "_function_scoped_runner"),
        (pytest_asyncio.plugin, "_session_scoped_runner", "_session_scoped_runner"),
        (pytest_asyncio.plugin, "PytestAsyncioFunction", "PytestAsyncioFunction"),
        (Item, "item_subclass_for", "PytestAsyncioFunction.item_subclass_for"),
        (Item, "_from_function", "PytestAsyncioFunction._from_function"),
        (Item, "_loop_scope", "PytestAsyncioFunction._loop_scope"),
        (Item, "_synchronization_target_attr", "PytestAsyncioFunction._synchronization_target_attr"),
    ],
)
def test_a_name_that_is_gone_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, reported: str
) -> None:
    monkeypatch.delattr(owner, name)
    monkeypatch.setattr(pytest_asyncio, "__version__", "9.9.9")
    with pytest.raises(pytest.UsageError) as caught:
        check_pytest_asyncio()
    what, cause, fix, docs = str(caught.value).splitlines()
    assert what == f"pytest-asyncio 9.9.9 has no {reported}"
    assert "likely cause: this version of pytest-asyncio is newer or older" in cause
    assert "fix: install the versions" in fix
    assert docs.endswith("#pytest-asyncio-version")


def test_all_the_names_that_are_gone_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pytest_asyncio.plugin, "_session_scoped_runner")
    monkeypatch.delattr(Item, "_from_function")
    monkeypatch.delattr(Item, "_loop_scope")
    with pytest.raises(pytest.UsageError) as caught:
        check_pytest_asyncio()
    names = str(caught.value).splitlines()[0].partition(" has no ")[2]
    assert names.split(", ") == [
        "_session_scoped_runner",
        "PytestAsyncioFunction._from_function",
        "PytestAsyncioFunction._loop_scope",
    ]


def test_a_run_with_a_newer_pytest_asyncio_says_so_once(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(pytest_asyncio.plugin, "_session_scoped_runner")
    result = project.run(
        """
    @pytest.mark.uno_async
    async def test_one(): ...

    @pytest.mark.uno_async
    async def test_two(): ...
    """
    )
    assert result.ret != pytest.ExitCode.OK
    output = result.stdout.str() + result.stderr.str()
    assert output.count(f"pytest-asyncio {pytest_asyncio.__version__} has no _session_scoped_runner") == 1
    assert "INTERNALERROR" not in output


def test_a_run_without_uno_tests_does_not_look(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Item, "_from_function")
    result = project.run("def test_it(): ...")
    assert project.outcomes(result) == {"passed": 1}


def test_flags_of_a_fixture_are_put_back() -> None:
    async def unmarked() -> None: ...

    async def marked() -> None: ...

    before: dict[str, object] = {"_force_asyncio_fixture": True, "_loop_scope": "class"}
    marked.__dict__.update(before)
    for func, scope in ((unmarked, None), (marked, "class")):
        assert fixture_loop_scope(func) == scope
        assert is_marked_async_fixture(func) == (scope is not None)
        state = mark_async_fixture(func, "module")
        assert is_marked_async_fixture(func)
        assert fixture_loop_scope(func) == "module"
        unmark_async_fixture(state)
    assert unmarked.__dict__ == {}
    assert marked.__dict__ == before


def test_flags_of_a_method_are_those_of_its_function() -> None:
    class Tests:
        async def fixture(self) -> None: ...

    mark_async_fixture(Tests().fixture, "session")
    assert is_marked_async_fixture(Tests.fixture)
    assert fixture_loop_scope(Tests().fixture) == "session"


def test_pytest_asyncio_itself_flags_fixtures_this_way() -> None:
    @pytest_asyncio.fixture(loop_scope="module")
    async def fixture() -> None: ...

    func = fixture._get_wrapped_function()  # type: ignore[attr-defined]
    assert is_marked_async_fixture(func)
    assert fixture_loop_scope(func) == "module"


def test_what_a_plain_test_is(request: pytest.FixtureRequest) -> None:
    item = requesting_item(request)
    assert item is request.node
    assert not is_adopted_by_pytest_asyncio(item)
    assert not is_unittest_item(item)
    assert loop_factory(item) is None
    assert fixtures_identity(item) is not None
    assert fixture_definitions(item)["python_object"][-1].argname == "python_object"


@pytest.fixture(autouse=True)
def python_object() -> object:
    return object()


@pytest.mark.asyncio
async def test_what_a_test_of_pytest_asyncio_is(request: pytest.FixtureRequest) -> None:
    item = requesting_item(request)
    assert is_adopted_by_pytest_asyncio(item)
    assert pytest_internals.test_loop_scope(item) == "function"


def test_an_item_that_is_no_function_has_no_fixtures() -> None:
    assert fixture_definitions(SimpleNamespace()) == {}  # type: ignore[arg-type]


def test_the_coroutine_function_is_back_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def coroutine_function(argument: str) -> str:
        return argument

    holder = SimpleNamespace(obj=coroutine_function)
    item: Any = SimpleNamespace(_synchronization_target_attr=(holder, "obj"))
    results: list[object] = []

    def call_and_fail(called: object) -> None:
        assert called is item
        assert holder.obj("result") is None
        raise LookupError

    monkeypatch.setattr(pytest.Function, "runtest", call_and_fail)
    with pytest.raises(LookupError):
        run_item(item, lambda coro: results.append(asyncio.run(coro)))
    assert results == ["result"]
    assert holder.obj is coroutine_function


def test_only_an_unfinished_setup_is_forgotten() -> None:
    for cached, left in ((None, []), (("value", 0, None), ["finalizer"])):
        definition: Any = SimpleNamespace(cached_result=cached, _finalizers=["finalizer"])
        forget_failed_setup(definition)
        assert definition._finalizers == left


def test_the_protocol_of_other_plugins_first_in_line_first(request: pytest.FixtureRequest) -> None:
    class Other:
        def pytest_runtest_protocol(self) -> None: ...

    class First:
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_protocol(self) -> None: ...

    class Wrapper:
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(self) -> Any:
            return (yield)

    ours, other, first = Other(), Other(), First()
    plugins = pytest.PytestPluginManager()
    for plugin in (other, first, ours, Wrapper()):
        plugins.register(plugin)
    plugins.import_plugin("_pytest.runner")
    item: Any = SimpleNamespace(ihook=plugins.hook)
    assert [impl.plugin for impl in protocol_implementers(item.ihook, ours)] == [first, other]


def test_ini_keys_of_old_and_new_pytest() -> None:
    new: Any = SimpleNamespace(_inicfg={"a": 1}, inicfg={"deprecated": 1})
    old: Any = SimpleNamespace(inicfg={"b": 1})
    assert ini_keys(new) == ("a",)
    assert ini_keys(old) == ("b",)


def test_this_pytest_has_the_ini_that_it_was_given(pytestconfig: pytest.Config) -> None:
    assert "asyncio_mode" in ini_keys(pytestconfig)
