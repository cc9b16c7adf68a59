"""Every private name of pytest and pytest-asyncio that the harness touches, each with its reason.

pytest-asyncio keeps converting items, wrapping fixtures and owning loops; adopting a test means meeting it at a few
places that have no public name. They stand here and nowhere else. `check_pytest_asyncio` looks at all of them when the
first test is adopted, so that a release of pytest-asyncio that moved one ends in one clear sentence instead of an
error somewhere inside a test; the version cap in pyproject.toml is what the test matrix has verified.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import pytest
from _pytest import runner as pytest_runner
from _pytest.outcomes import Failed  # `pytest.fail.Exception` is no base class to type checkers
from _pytest.unittest import TestCaseFunction

from pytest_uno.core.errors import compose_message

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "POLICY_FIXTURE",
    "RUNNER_MODULE",
    "SCOPES",
    "XUNIT_PREFIX",
    "Failed",
    "add_junit_property",
    "check_pytest_asyncio",
    "convert_item",
    "fixture_definitions",
    "fixture_loop_scope",
    "fixtures_identity",
    "forget_failed_setup",
    "ini_keys",
    "is_adopted_by_pytest_asyncio",
    "is_expected_to_fail",
    "is_set_anew_for_each_test",
    "is_unittest_item",
    "leave_out_policy",
    "loop_factory",
    "mark_async_fixture",
    "protocol_implementers",
    "replace_phases",
    "requesting_item",
    "resolve_fixture",
    "restore_phases",
    "run_item",
    "run_test_phases",
    "runner_fixture_name",
    "set_up_item",
    "substitute_fixture_function",
    "test_loop_scope",
    "unmark_async_fixture",
    "with_loop_factory",
]

RUNNER_MODULE = "pytest_asyncio.plugin"
"""Where the runner fixtures come from: they are recognised by the module of their function."""

POLICY_FIXTURE = "event_loop_policy"

XUNIT_PREFIX = "_xunit_setup_"
"""How pytest names the fixtures that it makes of `setup_method` and its like; the scope's word follows."""

SCOPES = ("session", "package", "module", "class", "function")
"""pytest's scopes, the widest first."""

_PLUGIN_NAMES = (
    *("PytestAsyncioFunction", "_asyncio_loop_factory", "event_loop_policy"),
    *("_function_scoped_runner", "_session_scoped_runner"),
)
_ITEM_NAMES = ("item_subclass_for", "_from_function", "_loop_scope", "_synchronization_target_attr")


def runner_fixture_name(scope: str) -> str:
    """Return the name of pytest-asyncio's fixture that owns the loop of a scope."""
    return f"_{scope}_scoped_runner"


def check_pytest_asyncio() -> None:
    """See that pytest-asyncio still has every private name that the harness needs.

    Raises:
        pytest.UsageError: one is missing.
    """
    import pytest_asyncio
    import pytest_asyncio.plugin as plugin

    missing = [name for name in _PLUGIN_NAMES if not hasattr(plugin, name)]
    item = getattr(plugin, "PytestAsyncioFunction", None)
    missing += [f"PytestAsyncioFunction.{name}" for name in _ITEM_NAMES if item and not hasattr(item, name)]
    if missing:
        raise pytest.UsageError(
            compose_message(
                f"pytest-asyncio {pytest_asyncio.__version__} has no {', '.join(missing)}",
                cause="this version of pytest-asyncio is newer or older than what pytest-uno was tested with",
                fix="install the versions that pytest-uno asks for: pip install --upgrade pytest-uno pytest-asyncio",
                anchor="pytest-asyncio-version",
            )
        )


def convert_item(item: pytest.Function) -> pytest.Function:
    """Make pytest-asyncio's item of an adopted async test that was collected as a plain one.

    pytest-asyncio converts while collecting; a marker that a conftest adds in `pytest_collection_modifyitems` comes
    too late for that.
    """
    from pytest_asyncio.plugin import PytestAsyncioFunction

    subclass = PytestAsyncioFunction.item_subclass_for(item)
    assert subclass is not None, "pytest-asyncio has an item class for every async function"
    return subclass._from_function(item)  # pyright: ignore[reportPrivateUsage]


def is_adopted_by_pytest_asyncio(item: pytest.Item) -> bool:
    """Tell whether pytest-asyncio runs this item."""
    plugin = sys.modules.get(RUNNER_MODULE)
    return plugin is not None and isinstance(item, plugin.PytestAsyncioFunction)


def is_unittest_item(item: pytest.Item) -> bool:
    """Tell whether an item is a method of a `unittest.TestCase`; its class is private to pytest."""
    return isinstance(item, TestCaseFunction)


def is_expected_to_fail(item: pytest.Item) -> bool:
    """Tell whether a test that runs carries an `xfail` whose condition holds; pytest keeps what it worked out."""
    from _pytest.skipping import xfailed_key

    return item.stash.get(xfailed_key, None) is not None


def test_loop_scope(item: pytest.Item) -> str:
    """Return the scope of the loop that pytest-asyncio runs this item on."""
    return cast("str", item._loop_scope)  # type: ignore[attr-defined]


def _base_function(func: Any) -> Any:
    return getattr(func, "__func__", func)


def loop_factory(item: pytest.Item) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the user's loop factory for this item; pytest-asyncio passes it as a parameter."""
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("_asyncio_loop_factory")


def with_loop_factory(
    func: Callable[..., Any],
    choose: Callable[
        [Any, Callable[[], asyncio.AbstractEventLoop] | None], Callable[[], asyncio.AbstractEventLoop] | None
    ],
) -> Callable[..., Iterator[Any]]:
    """Let a runner fixture of pytest-asyncio make its loop with another factory.

    Args:
        func: the fixture's function.
        choose: returns the factory, from the policy in force and the user's factory.
    """

    def scoped_runner(event_loop_policy: Any, _asyncio_loop_factory: Any, **others: Any) -> Iterator[Any]:
        factory = choose(event_loop_policy, _asyncio_loop_factory)
        yield from func(event_loop_policy=event_loop_policy, _asyncio_loop_factory=factory, **others)

    return scoped_runner


def set_up_item(item: pytest.Function, *, own_runner: bool) -> None:
    """Fill a test's fixtures.

    Args:
        item: the test.
        own_runner: pytest-asyncio need not ask for its runner fixture: with all that belongs to a fixture, that is
            the dearest part of a trivial test.
    """
    __tracebackhide__ = True
    if own_runner:
        pytest.Function.setup(item)
    else:
        type(item).setup(item)


def replace_phases(item: pytest.Function, set_up: Callable[[], None], call: Callable[[], None]) -> None:
    """Let the set-up and the call of one attempt at a test be these functions, which `pytest.Function` has as methods.

    Args:
        item: the test.
        set_up: takes the place of `setup`.
        call: takes the place of `runtest`.
    """
    item.setup = set_up  # type: ignore[method-assign]
    item.runtest = call  # type: ignore[method-assign]


def restore_phases(item: pytest.Item) -> None:
    """Undo `replace_phases`: an item lives until the end of the run, and all that hangs on it, too."""
    for name in ("setup", "runtest"):
        if name in vars(item):
            delattr(item, name)


def leave_out_policy(item: pytest.Function) -> None:
    """Spare a test pytest-asyncio's autouse fixture for the event loop policy, unless it asks for it by name.

    The fixture only returns the policy, to a runner fixture that this test does not have; to look it up for each test
    costs as much as half of the leak detection.
    """
    if POLICY_FIXTURE not in item._fixtureinfo.argnames:  # pyright: ignore[reportPrivateUsage]
        item.fixturenames = [name for name in item.fixturenames if name != POLICY_FIXTURE]


def run_item(item: pytest.Function, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    """Call a test whose coroutine function is made sync by `run`, as pytest-asyncio does with its runner.

    Hypothesis calls an inner function of its own many times: pytest-asyncio names the attribute to replace.
    """
    attribute: tuple[Any, str] = getattr(item, "_synchronization_target_attr")  # noqa: B009 - typed this way
    target, name = attribute
    func = getattr(target, name)

    def call_to_the_end(*args: Any, **kwargs: Any) -> None:
        run(func(*args, **kwargs))

    setattr(target, name, call_to_the_end)
    try:
        pytest.Function.runtest(item)
    finally:
        setattr(target, name, func)


def fixture_loop_scope(func: Callable[..., Any]) -> str | None:
    """Return the `loop_scope` that `pytest_asyncio.fixture` was given for this function, if any."""
    return getattr(_base_function(func), "_loop_scope", None)


def mark_async_fixture(func: Callable[..., Any], loop_scope: str) -> tuple[Any, Any, Any]:
    """Flag a function as an async fixture of a loop scope; returns what `unmark_async_fixture` takes.

    With the two flags pytest-asyncio also handles a plain `@pytest.fixture` in its strict mode.
    """
    base = _base_function(func)
    state = (base, base.__dict__.get("_force_asyncio_fixture"), base.__dict__.get("_loop_scope"))
    base._force_asyncio_fixture = True
    base._loop_scope = loop_scope
    return state


def unmark_async_fixture(state: tuple[Any, Any, Any]) -> None:
    """Put the two flags back."""
    base, forced, scope = state
    for name, value in (("_force_asyncio_fixture", forced), ("_loop_scope", scope)):
        if value is None:
            base.__dict__.pop(name, None)
        else:
            setattr(base, name, value)


def is_marked_async_fixture(func: Callable[..., Any]) -> bool:
    """Tell whether a function carries pytest-asyncio's flag."""
    return bool(getattr(_base_function(func), "_force_asyncio_fixture", False))


def fixture_definitions(node: pytest.Item) -> Mapping[str, Sequence[pytest.FixtureDef[Any]]]:
    """Return the fixtures that a test asks for, by name; the last definition is the one in force."""
    info = getattr(node, "_fixtureinfo", None)
    return (
        {} if info is None else cast("Mapping[str, Sequence[pytest.FixtureDef[Any]]]", info.name2fixturedefs)
    )


def fixtures_identity(node: pytest.Function) -> object:
    """Return what an item shares with the definition that it was made from, and with nothing else."""
    return node._fixtureinfo  # pyright: ignore[reportPrivateUsage]


def requesting_item(request: pytest.FixtureRequest) -> pytest.Function:
    """Return the test that a fixture is set up for; `request.node` is a wider node for a wider fixture."""
    return request._pyfuncitem  # pyright: ignore[reportPrivateUsage]


def resolve_fixture(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Return a fixture's function bound to the instance of the requesting test, as pytest does itself."""
    from _pytest.fixtures import resolve_fixture_function

    return resolve_fixture_function(fixturedef, request)


def substitute_fixture_function(fixturedef: pytest.FixtureDef[Any], func: Callable[..., Any]) -> None:
    """Replace the function of a fixture for the length of its set-up, as pytest-asyncio does itself."""
    fixturedef.func = func  # type: ignore[misc]


def is_set_anew_for_each_test(fixturedef: pytest.FixtureDef[Any]) -> bool:
    """Say whether a fixture is set up for every test of a folder: `autouse`, in a conftest file or plugin.

    `FixtureDef._autouse` (pytest 8.4 and newer) and the public `baseid`, which ends with a file's name in a module.

    Args:
        fixturedef: the fixture.
    """
    is_autouse = bool(getattr(fixturedef, "_autouse", False))
    return is_autouse and fixturedef.scope == "function" and ".py" not in fixturedef.baseid


def forget_failed_setup(fixturedef: pytest.FixtureDef[Any]) -> None:
    """Clear what an unfinished set-up left in a fixture definition.

    pytest 9.2: a fixture that fails before it has a cached result keeps its finalizer, and the next test that uses it
    trips over an assertion.
    """
    if fixturedef.cached_result is None:
        fixturedef._finalizers.clear()  # pyright: ignore[reportPrivateUsage]


def run_test_phases(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Run set-up, call and teardown of an item without logging; the caller logs the reports.

    `runtestprotocol(log=False)` is what pytest-rerunfailures and pytest-forked call, too.
    """
    pytest_runner.runtestprotocol(item, log=False, nextitem=nextitem)


def protocol_implementers(hooks: Any, ours: object) -> Iterable[Any]:
    """Return the other implementations of `pytest_runtest_protocol`, first in line first, without pytest's own."""
    for impl in reversed(hooks.pytest_runtest_protocol.get_hookimpls()):
        if impl.wrapper or impl.hookwrapper or impl.plugin is ours or impl.plugin is pytest_runner:
            continue
        yield impl


def make_call_info(
    excinfo: pytest.ExceptionInfo[BaseException], report: pytest.TestReport
) -> pytest.CallInfo[None]:
    """Make the call information of a call that ended with this exception."""
    return pytest.CallInfo(None, excinfo, report.start, report.stop, report.duration, "call", _ispytest=True)


def ini_keys(config: pytest.Config) -> Iterable[str]:
    """Return the names that the ini file sets; `Config.inicfg` is deprecated since pytest 9.2."""
    ini = getattr(config, "_inicfg", None)
    return tuple(config.inicfg if ini is None else ini)  # pyright: ignore[reportDeprecated]


def add_junit_property(config: pytest.Config, name: str, value: object) -> None:
    """Add a property of the suite to the JUnit report, if one is written.

    pytest's fixture `record_testsuite_property` does the same for tests, but not under pytest-xdist.

    Args:
        config: the configuration of the run.
        name: the property's name.
        value: its value.
    """
    from _pytest.junitxml import xml_key

    xml = config.stash.get(xml_key, None)
    if xml is not None:
        xml.add_global_property(name, value)
