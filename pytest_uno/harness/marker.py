"""The `uno_async` marker: its keys, checked early, and how the markers of a test merge.

The closest marker wins, key by key: a parameter's, then the function's, the class's, the module's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from pytest_uno.core.errors import compose_message
from pytest_uno.harness.database_options import CONFLICTS, DATABASE_MODES
from pytest_uno.harness.exploration_options import (
    EXPLORATION_KEYS,
    ExplorationOptions,
    find_exploration_problem,
    read_exploration,
)
from pytest_uno.harness.loop_scopes import is_async_function
from pytest_uno.harness.pytest_internals import SCOPES
from pytest_uno.harness.settings import CLOCKS, SETTINGS, Settings, suggest
from pytest_uno.leaks.policy import LEVELS, Layer, LeakLevels, find_level_problem, make_levels

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_uno.leaks.allowances import Allowances

__all__ = [
    "MARKER",
    "MARKER_HELP",
    "TestOptions",
    "find_marker_place",
    "has_marker",
    "is_sync_test_in_auto_mode",
    "merge_markers",
    "own_marker",
    "resolve_options",
]

MARKER = "uno_async"

MARKER_HELP = (
    "uno_async(clock=, start=, timeout=, real_timeout=, leaks=, allow_leaks=, db=, db_conflict=, db_wait=, "
    "max_queries=, schedules=, seed=, delay=, jitter=, timeouts=, explore_time=, loop_scope=, loop_factories=): run "
    "the async test with pytest-uno: a virtual clock, its own AsyncManager, leak checks, a database of which nothing "
    "stays, a real-time watchdog, many schedules; uno_async(False) leaves it alone"
)

FOREIGN_MARKERS = ("anyio", "trio", "curio", "twisted", "gevent")
"""Auto mode leaves tests of other frameworks alone."""


class TestOptions(NamedTuple):
    """What one test asked for, markers and settings merged."""

    clock: str
    start: datetime | None
    """The date and time at which the test begins, in UTC; None leaves the wall clock real."""
    timeout: float
    """Seconds of the test's clock; 0: any time."""
    real_timeout: float
    leak_levels: LeakLevels
    allowances: Allowances
    """What the marker says may leak; the ini file's come on top."""
    db: str
    """How the test is kept apart in the database: `rollback`, `snapshot` or `off`."""
    db_conflict: str
    """What a second transaction of one task does: `error` or `join`."""
    db_wait: float
    """Real seconds that a task waits for the transaction of another."""
    max_queries: int | None
    """How many statements the test may send; None: any number."""
    exploration: ExplorationOptions | None = None
    """How its schedules are explored; None: it runs once, in stock order."""

    @property
    def leaks(self) -> str:
        """The level of the rules that nobody names."""
        return self.leak_levels.general


def _one_of(allowed: tuple[str, ...]) -> Callable[[object], str | None]:
    def check(value: object) -> str | None:
        if value in allowed:
            return None
        return suggest(str(value), allowed) + f"use {' or '.join(map(repr, allowed))}"

    return check


def _seconds(value: object) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return None
    return "give seconds as a number of at least 0; 0 switches it off"


def _database_mode(value: object) -> str | None:
    return None if value is False else _one_of(DATABASE_MODES)(value)


def _count(value: object) -> str | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return None
    return "give a number of statements, at least 0"


def _factory_names(value: object) -> str | None:
    if isinstance(value, list | tuple):
        names = cast("Sequence[object]", value)
        if names and all(isinstance(name, str) and name for name in names):
            return None
    return "give a list of names that the hook pytest_asyncio_loop_factories returns"


def _levels(value: object) -> str | None:
    if isinstance(value, Mapping):
        return find_level_problem(cast("Mapping[object, object]", value))
    problem = _one_of(LEVELS)(value)
    return None if problem is None else f"{problem}, or give levels of rules, as {{'UNO103': 'warn'}}"


def _allowances(value: object) -> str | None:
    from pytest_uno.leaks.allowances import find_allowances_problem  # few projects need it

    return find_allowances_problem(value)


def _moment(value: object) -> str | None:
    from pytest_uno.clock.wall_clock import parse_moment  # few projects need it

    try:
        if value is not None:  # takes back what a wider marker says
            parse_moment(cast("datetime | str", value))
    except ValueError:
        return (
            'give a datetime, or a string in ISO 8601 such as "2026-01-01T00:00Z"; without a zone it is UTC'
        )
    return None


_KEYS: dict[str, Callable[[object], str | None]] = {
    "clock": _one_of(CLOCKS),
    "start": _moment,
    "timeout": _seconds,
    "real_timeout": _seconds,
    "leaks": _levels,
    "allow_leaks": _allowances,
    "db": _database_mode,
    "db_conflict": _one_of(CONFLICTS),
    "db_wait": _seconds,
    "max_queries": _count,
    **EXPLORATION_KEYS,
    "loop_scope": _one_of(SCOPES),
    "loop_factories": _factory_names,
}

_OPTION_OF = {"db": "uno_db_mode"}
"""The option whose flag beats a key, where it is called otherwise."""


def check_marker(mark: pytest.Mark, where: str) -> None:
    """Refuse a marker with arguments that it does not take.

    Args:
        mark: the marker.
        where: the test that carries it, for the message.

    Raises:
        pytest.fail.Exception: it does; collection reports it.
    """
    if mark.args and (mark.args != (False,) or mark.kwargs):
        _refuse(
            f"{where}: uno_async takes keyword arguments, or False alone, not {mark.args!r}",
            "name the argument, for example uno_async(real_timeout=5)",
        )
    for key, value in mark.kwargs.items():
        if key not in _KEYS:
            _refuse(
                f"{where}: uno_async got an unknown argument {key!r}",
                suggest(key, tuple(_KEYS)) + f"known arguments: {', '.join(_KEYS)}",
            )
        if (fix := _KEYS[key](value)) is not None:
            _refuse(f"{where}: uno_async({key}={value!r}) is not a value of {key}", fix)


def _refuse(what: str, fix: str) -> None:
    pytest.fail(compose_message(what, fix=fix, anchor="bad-marker"), pytrace=False)


def own_marker(item: pytest.Item) -> pytest.Mark | None:
    """Return the marker that stands on the test itself, not on its class or module."""
    return next((mark for mark in item.own_markers if mark.name == MARKER), None)


def has_marker(item: pytest.Item) -> bool:
    """Say, cheaply, whether a marker stands on a test, its class or its module.

    Args:
        item: any test of the suite, most of them not ours.
    """
    node: pytest.Item | pytest.Collector | None = item
    while node is not None:
        for mark in node.own_markers:
            if mark.name == MARKER:
                return True
        node = node.parent
    return False


def _closest_first(item: pytest.Item) -> list[pytest.Mark]:
    marks = list(item.iter_markers(MARKER))
    callspec = getattr(item, "callspec", None)
    if callspec is not None and len(marks) > 1:  # pytest puts a parameter's marks behind the function's
        marks.sort(key=lambda mark: not any(mark is of_param for of_param in callspec.marks))
    return marks


def find_marker_place(item: pytest.Item, key: str) -> tuple[str, bool]:
    """Say where the marker stands that gives a test the value of a key.

    Args:
        item: the test; one of its markers must have the key.
        key: the key.

    Returns:
        The node ID of the test (without its parameters, if they share the marker), the class or the module, or the
        name of the class that the test's class inherits it from; and whether other tests may share it.
    """
    mark = next(mark for mark in _closest_first(item) if key in mark.kwargs)
    callspec = getattr(item, "callspec", None)
    node = next(node for node, other in item.iter_markers_with_node(MARKER) if other is mark)
    if node is item:
        if callspec is None or any(mark is of_param for of_param in callspec.marks):
            return item.nodeid, False
        parent = "" if item.parent is None else item.parent.nodeid
        return f"{parent}::{getattr(item, 'originalname', item.name)}", True
    if isinstance(node, pytest.Class):
        for cls in cast("type", node.obj).__mro__[1:]:
            of_class: Any = vars(cls).get("pytestmark", ())
            marks = cast("Sequence[Any]", of_class) if isinstance(of_class, list) else [of_class]
            if any(mark is getattr(other, "mark", other) for other in marks):
                return f"{cls.__module__}.{cls.__qualname__}", True
    return node.nodeid, True


def merge_markers(item: pytest.Item) -> Mapping[str, Any] | None:
    """Return the merged arguments of a test's markers, or None when the test is not ours.

    Raises:
        pytest.fail.Exception: a marker has arguments that it does not take.
    """
    marks = _closest_first(item)
    for mark in marks:
        if mark.args or mark.kwargs:
            check_marker(mark, item.nodeid)
    if not marks:
        return {} if _is_wanted_by_auto_mode(item) else None
    if marks[0].args:
        return None
    merged: Mapping[str, Any] = marks[0].kwargs
    if len(marks) > 1:
        merged = of_all = {key: value for mark in reversed(marks) for key, value in mark.kwargs.items()}
        if isinstance(merged.get("leaks"), Mapping):
            of_all["leaks"] = [mark.kwargs["leaks"] for mark in reversed(marks) if "leaks" in mark.kwargs]
    if merged.get("start") is not None:
        _check_start(item, merged)
    if not EXPLORATION_KEYS.keys().isdisjoint(merged):
        _check_exploration(item, merged)
    return merged


def _check_start(item: pytest.Item, merged: Mapping[str, Any]) -> None:
    settings = item.config.stash[SETTINGS]
    is_of_run = "clock" not in merged or "uno_clock" in settings.flags
    if (settings.clock if is_of_run else merged["clock"]) == "real":
        _refuse(
            f"{item.nodeid}: uno_async(start=...) needs virtual time, and the test runs on real time "
            + ("(uno_clock = real)" if is_of_run else "(clock='real')"),
            "remove start=, or run the test with clock='virtual'",
        )


def _check_exploration(item: pytest.Item, merged: Mapping[str, Any]) -> None:
    settings = item.config.stash[SETTINGS]
    is_of_run = "clock" not in merged or "uno_clock" in settings.flags
    problem = find_exploration_problem(merged, settings.clock if is_of_run else merged["clock"])
    if problem is None and getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        problem = (
            "schedules= and @given cannot be combined: each example would be explored by itself",
            "call uno_explore(scenario) in the test, with the example's values",
        )
    if problem is not None:
        _refuse(f"{item.nodeid}: uno_async({problem[0]})", problem[1])


def _is_wanted_by_auto_mode(item: pytest.Item) -> bool:
    if item.config.stash[SETTINGS].mode != "auto":
        return False
    if any(item.get_closest_marker(name) for name in FOREIGN_MARKERS):
        return False
    return "anyio_backend" not in getattr(item, "fixturenames", ())


def is_sync_test_in_auto_mode(item: pytest.Item) -> bool:
    """Tell whether a sync test may ask for async fixtures: in auto mode, as in pytest-asyncio's own."""
    return _is_wanted_by_auto_mode(item) and not is_async_function(getattr(item, "obj", None))


def resolve_options(item: pytest.Item, merged: Mapping[str, Any]) -> TestOptions:
    """Merge a test's marker arguments with the settings of the run; a command line flag beats the marker."""
    settings = item.config.stash[SETTINGS]
    if settings.flags and merged:
        merged = {
            key: value
            for key, value in merged.items()
            if _OPTION_OF.get(key, f"uno_{key}") not in settings.flags
        }
    start = merged.get("start")
    if start is not None:
        from pytest_uno.clock.wall_clock import parse_moment

        start = parse_moment(start)
    return TestOptions(
        clock=merged.get("clock", settings.clock),
        start=start,
        timeout=float(merged.get("timeout", settings.timeout)),
        real_timeout=float(merged.get("real_timeout", settings.real_timeout)),
        leak_levels=_merge_levels(merged["leaks"], settings) if "leaks" in merged else settings.leak_levels,
        allowances=_read_allowances(merged["allow_leaks"]) if "allow_leaks" in merged else (),
        db=merged.get("db", settings.database.mode) or "off",
        db_conflict=merged.get("db_conflict", "error"),
        db_wait=float(merged.get("db_wait", settings.database.wait)),
        max_queries=merged.get("max_queries"),
        exploration=read_exploration(merged, settings.exploration) if "schedules" in merged else None,
    )


def _read_allowances(given: object) -> Allowances:
    from pytest_uno.leaks.allowances import read_allowances  # few projects need it

    return read_allowances(given)


def _merge_levels(given: Any, settings: Settings) -> LeakLevels:
    """Put what the markers say, the widest first, between the ini file and the command line.

    A level for everything takes back what wider markers say of rules.
    """
    layers: list[Layer] = []
    for leaks in cast("list[str | Mapping[str, str]]", given if isinstance(given, list) else [given]):
        if isinstance(leaks, str):
            layers = [Layer(leaks)]
        else:
            layers.append(Layer(None, tuple(leaks.items())))
    of_ini, of_flags = settings.leak_layers
    return make_levels(of_ini, *layers, of_flags)
