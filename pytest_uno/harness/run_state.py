"""What the parts of the harness share: the run, and the test that is being run."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_uno.clock.virtual_loop import VirtualEventLoop
from pytest_uno.core.errors import compose_message
from pytest_uno.database.leaks.detector import DatabaseLeaks
from pytest_uno.harness.clock_turns import SharedClocks, TestClock
from pytest_uno.harness.databases import SharedDatabases
from pytest_uno.harness.marker import TestOptions, merge_markers, resolve_options
from pytest_uno.harness.pytest_internals import Failed, is_adopted_by_pytest_asyncio
from pytest_uno.harness.settings import SETTINGS
from pytest_uno.leaks.detection import LeakDetection
from pytest_uno.leaks.owners import Owner

if TYPE_CHECKING:
    from pytest_uno.core.async_manager import AsyncManager
    from pytest_uno.harness.databases import TestDatabase
    from pytest_uno.harness.watchdog import Watchdog
    from pytest_uno.leaks.leak_watch import LeakWatch

__all__ = [
    "FixtureCrash",
    "FixtureCrashError",
    "RunState",
    "TestRun",
    "is_judged",
    "is_uno_test",
    "options_of",
]


class FixtureCrash:
    """An async fixture that failed while the test was running."""

    __slots__ = ("error", "name")

    def __init__(self, name: str, error: BaseException) -> None:
        self.name = name
        self.error = error


class FixtureCrashError(Failed):
    """A fixture failed while the test was running."""

    __module__ = "builtins"  # pytest shows `FixtureCrashError: ...`, without a module path

    def __init__(self, crash: FixtureCrash) -> None:
        super().__init__(
            compose_message(
                f"fixture {crash.name!r} crashed while the test was running: {crash.error!r}",
                fix="see the cause of this error; the test was stopped because its fixture is gone",
                anchor="fixture-crash",
            ),
            pytrace=True,
        )


class TestRun:
    """One attempt at one test, from the guard's set-up to its teardown."""

    __test__ = False
    __slots__ = (
        *("clock", "crash", "fixture_owners", "is_hung", "item", "leak_watch", "loop", "manager", "options"),
        *("database", "owner", "timed_out"),
    )

    def __init__(
        self,
        item: pytest.Item,
        options: TestOptions,
        loop: asyncio.AbstractEventLoop,
        manager: AsyncManager,
    ) -> None:
        self.item = item
        self.options = options
        self.loop = loop
        self.manager = manager
        file, line, _ = item.location
        self.owner = Owner(
            "test", item.name, scope="function", file=file, line=None if line is None else line + 1
        )
        self.fixture_owners: list[Owner] = []
        self.crash: FixtureCrash | None = None
        self.is_hung = False
        self.leak_watch: LeakWatch | None = None
        self.clock: TestClock | None = None
        self.timed_out: BaseException | None = None
        self.database: TestDatabase | None = None


class RunState:
    """One pytest run with uno tests in it.

    Attributes:
        detection: the leak detectors of the run.
        test: the test between its guard's set-up and teardown.
        teardown_item: the item whose teardown phase is running. After Ctrl-C fixtures end in `pytest_sessionfinish`,
            where an exception would crash pytest: nothing is blamed there.
        host_tasks: the tasks that async generator fixtures live in.
        setup_task: the task that waits for a fixture's set-up or teardown right now.
        watchdog: the watchdog, from the first test with a real-time budget on.
        shared_clocks: the clocks of the loops that outlive a test.
        databases: the databases of the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.settings = config.stash[SETTINGS]
        self.detection = LeakDetection(
            root=config.rootpath, block_ms=self.settings.block_ms, others=[DatabaseLeaks]
        )
        self.test: TestRun | None = None
        self.teardown_item: pytest.Item | None = None
        self.host_tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self.setup_task: asyncio.Task[Any] | None = None
        self.watchdog: Watchdog | None = None
        self.shared_clocks = SharedClocks(self.describe_task)
        self.databases = SharedDatabases(self.settings.database)

    def tasks_of_test(self) -> Iterator[asyncio.Task[Any]]:
        """Yield the tasks that a test that is stopped would wait for; must be called on its loop."""
        test = self.test
        if self.setup_task is not None:
            yield self.setup_task
        if test is not None:
            for task in asyncio.all_tasks(test.loop):
                owner = self.detection.owner_of(task)
                if task not in self.host_tasks and (owner is test.owner or owner is None):
                    yield task

    def describe_task(self, task: asyncio.Task[Any]) -> str | None:
        """Say whose a task is, for pictures."""
        owner, test, loop = self.detection.owner_of(task), self.test, task.get_loop()
        is_of_test = test is not None and (owner is None or owner is test.owner)
        if is_of_test and isinstance(loop, VirtualEventLoop) and loop.runs_for(task):
            return "the test"
        return None if owner is None else owner.describe()


_OPTIONS: pytest.StashKey[TestOptions | None] = pytest.StashKey()
_LAST_OPTIONS: pytest.StashKey[tuple[Mapping[str, Any], TestOptions]] = pytest.StashKey()
"""What the markers of a test said and what it meant, kept for the next test: most tests of a suite say the same."""


def options_of(item: pytest.Item) -> TestOptions | None:
    """Return the options of a test, or None when it is not ours.

    Worked out when the test is about to run, because a conftest may add markers after collection.

    Raises:
        pytest.fail.Exception: a marker has arguments that it does not take.
    """
    try:
        return item.stash[_OPTIONS]
    except KeyError:
        pass
    options = None
    if is_adopted_by_pytest_asyncio(item):
        merged = merge_markers(item)
        if merged is not None:
            options = _resolve_or_share(item, merged)
    item.stash[_OPTIONS] = options
    return options


def _resolve_or_share(item: pytest.Item, merged: Mapping[str, Any]) -> TestOptions:
    last = item.config.stash.get(_LAST_OPTIONS, None)
    if last is not None and (last[0] is merged or last[0] == merged):
        return last[1]
    options = resolve_options(item, merged)
    item.config.stash[_LAST_OPTIONS] = (merged, options)
    return options


def is_uno_test(item: pytest.Item) -> bool:
    """Tell whether a test is ours; a test with an unusable marker is not, its set-up says why."""
    try:
        return options_of(item) is not None
    except pytest.fail.Exception:
        return False


def is_judged(item: pytest.Item) -> bool:
    """Tell whether a test is looked at by the leak detectors."""
    try:
        options = options_of(item)
    except pytest.fail.Exception:
        return False
    return options is not None and options.leak_levels.looks
