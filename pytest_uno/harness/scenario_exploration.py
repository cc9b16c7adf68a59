"""The fixture `uno_explore`: a scenario in many schedules, called from a test that goes on afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import TYPE_CHECKING, Any

from pytest_uno.core.async_manager import AsyncManager
from pytest_uno.core.current_manager import current_manager
from pytest_uno.explore.asyncio_internals import outside_running_loop
from pytest_uno.explore.report import ExplorationReport
from pytest_uno.explore.run import Surroundings
from pytest_uno.explore.schedule_loop import ScheduleLoop
from pytest_uno.explore.search import explore, replay
from pytest_uno.harness.exploration_options import DELAYS, ExplorationFlags
from pytest_uno.harness.exploration_summary import EXPLORATION, ExploredCounts

if TYPE_CHECKING:
    import pytest

    from pytest_uno.harness.databases import TestDatabase

__all__ = ["ScenarioExploration"]


class ScenarioExploration:
    """Explores scenarios for one test; what the fixture `uno_explore` hands out.

    Must be called in the test's own thread, in or outside of its loop, which stands still meanwhile.

    Args:
        item: the test.
        flags: what the command line says.
        database: the database of the test, None if it has none.
    """

    def __init__(self, item: pytest.Item, flags: ExplorationFlags, database: TestDatabase | None) -> None:
        self._item = item
        self._name = item.nodeid
        self._flags = flags
        self._database = database
        self._has_database = database is not None and database.uno_db is not None

    def __call__(
        self,
        scenario: Callable[[], Coroutine[Any, Any, object]],
        *,
        schedules: int = 100,
        seed: int = 0,
        delay: Iterable[str] = DELAYS,
        jitter: float = 10,
        timeouts: bool = False,
        explore_time: float | None = None,
    ) -> ExplorationReport:
        """Run a scenario in many schedules, each on a loop, with a manager and in a database of its own.

        Args:
            scenario: called without arguments for each schedule; returns a fresh coroutine.
            schedules: how many schedules at most; `--uno-schedules` counts more.
            seed: of what is drawn by lot.
            delay: what may be late, of "io", "sleep" and "yield".
            jitter: how many times as long as it asks for a sleep may take.
            timeouts: whether deadlines may pass that do not in stock order.
            explore_time: real seconds after which no new schedule begins; None for any time.

        Returns:
            What was found; it may be awaited, too, and is itself then. `report.failure` is the exception of the
            schedule that fails, and is not raised.

        Raises:
            ExplorationError: the test has used its database already.
            ValueError: an argument is wrong.
            TypeError: the scenario returns no coroutine.
        """
        surroundings = Surroundings(opened=self._open, after=self._shut_down, finished=self._finish)
        with outside_running_loop(), self._without_database():
            if self._flags.replay is not None:
                report = replay(scenario, self._flags.replay, surroundings=surroundings, name=self._name)
                return self._count(report)
            report = explore(
                scenario,
                schedules=schedules if self._flags.schedules is None else self._flags.schedules,
                seed=seed,
                delay=delay,
                jitter=jitter,
                timeouts=timeouts,
                explore_time=explore_time,
                surroundings=surroundings,
                name=self._name,
            )
            return self._count(report)

    def _count(self, report: ExplorationReport) -> ExplorationReport:
        before = self._item.stash.get(EXPLORATION, ExploredCounts(0, 0, 0, False))
        self._item.stash[EXPLORATION] = ExploredCounts(
            before.runs + report.runs,
            before.single_holds + report.single_holds,
            before.holds_done + report.holds_done,
            before.failed or report.failure is not None,
        )
        return report

    # -- one schedule
    def _open(self, loop: ScheduleLoop) -> None:
        self._manager = AsyncManager(name=self._name)
        self._token = current_manager.set(self._manager)
        if self._has_database and self._database is not None:
            self._manager.session_factory = self._database.begin_schedule(loop.clock).session_factory

    async def _shut_down(self, error: BaseException | None) -> None:
        await self._manager.shutdown()

    def _finish(self, loop: ScheduleLoop, error: BaseException | None) -> None:
        current_manager.reset(self._token)
        if self._has_database and self._database is not None:
            problem = self._database.end(loop.run_until_complete)
            if problem is not None and error is None:
                raise problem

    @contextlib.contextmanager
    def _without_database(self) -> Generator[None]:
        """Take the test out of its sandbox: each schedule has one of its own."""
        database = self._database
        if database is None or database.uno_db is None:
            yield
            return
        resume = database.suspend()
        try:
            yield
        finally:
            resume()
