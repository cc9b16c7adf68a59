"""One test in many schedules: everything that belongs to the test alone is made anew for each of them.

pytest sets a test up once, calls it once and tears it down once. Here the set-up leaves the test's own fixtures alone.
Then, for each schedule, the fixtures of function scope are set up on the schedule's loop, under a guard of their own;
the test's coroutine runs; and pytest's own teardown of the test is called, as for a test that is followed by another
one of its class. Wider fixtures stay. So what a schedule has changed does not reach into the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
import warnings
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_uno.core.errors import UnoExplorationWarning
from pytest_uno.explore.report import ExplorationReport, Progress
from pytest_uno.explore.run import Surroundings
from pytest_uno.explore.schedule_loop import ScheduleLoop
from pytest_uno.explore.search import explore, replay
from pytest_uno.harness.clock_turns import LOOP_FAILURES
from pytest_uno.harness.exploration_summary import EXPLORATION, ExploredCounts
from pytest_uno.harness.pytest_setup_internals import (
    arguments_of,
    begin_anew,
    set_up_again,
    tear_down_alone,
    users_own_fixtures,
)
from pytest_uno.leaks.model import Finding

if TYPE_CHECKING:
    from pytest_uno.harness.exploration_options import ExplorationOptions
    from pytest_uno.harness.run_state import RunState, TestRun
    from pytest_uno.harness.verdict import Verdicts

__all__ = ["ExploredTest", "ScheduleRunner"]


_PROGRESS_EVERY = 1.0
"""Real seconds between two lines of progress."""


class ScheduleRunner:
    """What fixtures need of an `asyncio.Runner`, for the loop of one schedule.

    Args:
        loop: the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""
        return self._loop

    def run(self, coro: Coroutine[Any, Any, Any], *, context: contextvars.Context | None = None) -> Any:
        """Run a coroutine to its end.

        Args:
            coro: the coroutine.
            context: the context it runs in; None copies the current one.

        Returns:
            What it returned.

        Raises:
            BaseException: what it raised.
        """
        __tracebackhide__ = True
        return self._loop.run_until_complete(self._loop.create_task(coro, context=context))


class ExploredTest:
    """One test, and the search through its schedules.

    Args:
        run: the state of the pytest run.
        verdicts: decides what the leaks of a schedule mean.
        item: the test.
        options: how it is explored.
        set_up: sets the fixtures of function scope up on a runner, under a guard that tells `judge` what it found.
        explain: raises what really happened when a test was stopped from outside.
    """

    def __init__(
        self,
        run: RunState,
        verdicts: Verdicts,
        item: pytest.Function,
        options: ExplorationOptions,
        *,
        set_up: Callable[[ScheduleRunner, ExploredTest], None],
        explain: Callable[[pytest.Item, BaseException], None],
    ) -> None:
        self._run = run
        self._verdicts = verdicts
        self._item = item
        self._options = options
        self._set_up = set_up
        self._explain = explain
        self._loop: ScheduleLoop | None = None
        self._has_failed = False
        self._explained: BaseException | None = None
        self._settled: set[str] = set()
        self._told = time.perf_counter()

    # -- what pytest calls
    def set_up(self) -> None:
        """Set the test's own fixtures up for the present schedule; in pytest's own set-up there is none yet."""
        __tracebackhide__ = True
        if self._loop is not None:
            begin_anew(self._item)
            self._set_up(ScheduleRunner(self._loop), self)

    def call(self) -> None:
        """Search the schedules, or replay one.

        Raises:
            BaseException: the failure of a schedule.
        """
        __tracebackhide__ = True
        self._warn_of_fixtures()
        surroundings = Surroundings(opened=self._open, finished=self._finish, passes_through=_is_for_pytest)
        token = self._run.settings.exploration.replay
        if token is not None:
            report = replay(self._scenario, token, surroundings=surroundings, name=self._item.nodeid)
        else:
            options = self._options
            report = explore(
                self._scenario,
                schedules=options.schedules,
                seed=options.seed,
                delay=options.delay,
                jitter=options.jitter,
                timeouts=options.timeouts,
                explore_time=options.explore_time or None,
                surroundings=surroundings,
                progress=self._tell if self._run.config.get_verbosity() > 0 else None,
                name=self._item.nodeid,
            )
        self._end(report)

    def _end(self, report: ExplorationReport) -> None:
        __tracebackhide__ = True
        failure = report.failure
        if isinstance(failure, asyncio.CancelledError) and self._explained is not None:
            failure = self._explained
        self._item.stash[EXPLORATION] = ExploredCounts(
            report.runs, report.single_holds, report.holds_done, failure is not None
        )
        if failure is None:
            return
        findings = getattr(failure, "findings", ())
        if findings:
            self._verdicts.attach(self._item, findings)
            # A leak is shown without a traceback, and so without the note that has the explanation.
            self._item.add_report_section("call", "schedule", report.explanation)
        raise failure

    # -- one schedule
    def _open(self, loop: ScheduleLoop) -> None:
        self._loop, self._has_failed = loop, False
        asyncio.set_event_loop(loop)
        try:
            set_up_again(self._item)
        except BaseException as error:
            with contextlib.suppress(Exception):  # while its loop is open; why it was not set up says more
                self._finish(loop, error)
            raise

    def _scenario(self) -> Coroutine[Any, Any, Any]:
        coroutine: Coroutine[Any, Any, Any] = self._item.obj(**arguments_of(self._item))
        return coroutine

    def _finish(self, loop: ScheduleLoop, error: BaseException | None) -> None:
        self._has_failed = error is not None
        if error is not None:
            try:
                self._explain(self._item, error)
            except BaseException as explained:
                self._explained = explained
        test = self._run.test
        if test is not None and isinstance(error, LOOP_FAILURES):
            test.is_hung = True
        self._run.teardown_item = self._item
        try:
            tear_down_alone(self._item)
        finally:
            self._run.teardown_item = None
            self._loop = None
            asyncio.set_event_loop(None)

    def judge_test(
        self, test: TestRun, findings: Sequence[Finding], missing: Sequence[str], error: Exception | None
    ) -> None:
        """Make a failure of the schedule of what its guard found; one that has failed needs no second reason.

        Args:
            test: the test of the schedule.
            findings: what was found when it ended, and was not expected.
            missing: what to say about each leak that was expected and not found.
            error: what the shutdown of its manager raised.

        Raises:
            LeakError: there is something that fails the test.
            MissingLeakError: something is `missing`.
            Exception: `error`.
        """
        if self._has_failed:
            return
        fresh = [finding for finding in findings if finding.fingerprint not in self._settled]
        new = self._verdicts.settle(self._item, test.options.leak_levels, fresh, test.options.allowances)
        failing = {finding.fingerprint for finding in new}
        # What warns or is allowed does so once, not once for each schedule.
        self._settled |= {finding.fingerprint for finding in fresh} - failing
        failure = self._verdicts.combine(new, missing, error)
        if failure is not None:
            raise failure

    def fails_test(self, test: TestRun, finding: Finding) -> bool:
        """Say whether a finding would fail a test, as it does for one that runs once.

        Args:
            test: the test of the schedule.
            finding: the finding.
        """
        return self._verdicts.fails_test(test, finding)

    # -- what is said
    def _warn_of_fixtures(self) -> None:
        names = users_own_fixtures(self._item)
        if names:
            listed = ", ".join(map(repr, names))
            with warnings.catch_warnings():
                warnings.simplefilter("always", UnoExplorationWarning)  # also where warnings are errors
                self._item.warn(
                    UnoExplorationWarning(
                        f"function-scoped fixtures are set up again for each schedule: {listed}. "
                        "Give a wider scope to what schedules may share."
                    )
                )

    def _tell(self, progress: Progress) -> None:
        now = time.perf_counter()
        reporter: Any = self._run.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is None or now - self._told < _PROGRESS_EVERY or hasattr(self._run.config, "workerinput"):
            return
        self._told = now
        capture: Any = self._run.config.pluginmanager.get_plugin("capturemanager")
        with contextlib.nullcontext() if capture is None else capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(
                f"  {self._item.name}: {progress.runs} of {progress.schedules} schedules, "
                f"{progress.holds_done} of {progress.single_holds} single holds"
            )


def _is_for_pytest(error: BaseException) -> bool:
    return isinstance(error, pytest.skip.Exception | pytest.xfail.Exception | pytest.exit.Exception)
