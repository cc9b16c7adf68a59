"""What happens around one test: the manager, the owner, the snapshots, and the check at the end.

The order matters, and is the reason why this is one object with a beginning and an end:

- It begins after the loop exists and before the first function-scoped fixture, so that fixtures find the manager.
- It ends after the last function-scoped fixture and before the loop closes: a closing runner cancels everything
  silently and would hide the leaks.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import pytest

from pytest_uno.core.async_manager import AsyncManager
from pytest_uno.core.current_manager import current_manager
from pytest_uno.harness.clock_turns import TestClock
from pytest_uno.harness.databases import TestDatabase
from pytest_uno.harness.marker import TestOptions
from pytest_uno.harness.run_state import RunState, TestRun
from pytest_uno.harness.verdict import Verdicts
from pytest_uno.leaks.inquiry import FAILS
from pytest_uno.leaks.model import Finding, Frame, OwnerInfo
from pytest_uno.leaks.owners import OWNER

if TYPE_CHECKING:
    from pytest_uno.harness.explored_test import ExploredTest
    from pytest_uno.leaks.leak_watch import LeakWatch

__all__ = ["TestGuard"]


class TestGuard:
    """Guards one attempt at one test on one loop.

    Args:
        run: the state of the pytest run.
        verdicts: who decides what findings mean.
        item: the test.
        options: its options.
        runner: the runner of its loop.
        owns_loop: the loop ends with the test.
    """

    __test__ = False

    def __init__(
        self,
        run: RunState,
        verdicts: Verdicts | ExploredTest,
        item: pytest.Item,
        options: TestOptions,
        runner: Any,
        *,
        owns_loop: bool,
    ) -> None:
        self._run = run
        self._verdicts = verdicts
        self._runner = runner
        self._owns_loop = owns_loop
        self._loop: asyncio.AbstractEventLoop = runner.get_loop()
        self._test = test = TestRun(item, options, self._loop, AsyncManager(name=item.name))
        self._has_begun = False
        test.clock = self._clock = TestClock(
            test,
            run.shared_clocks,
            owns_loop=owns_loop,
            tasks=run.tasks_of_test,
            label=run.describe_task,
        )

    @property
    def test(self) -> TestRun:
        """The test as the rest of the harness sees it."""
        return self._test

    def begin(self) -> None:
        """Make the manager current, take the snapshots; must be called while the loop is not running."""
        test, run = self._test, self._run
        test.database = self._database = TestDatabase(
            run.databases, test, None if self._owns_loop else self._loop
        )
        self._database.begin()  # first: it may import the application, and refuse
        self._has_begun = True
        run.test = test
        # Without an owner nothing is recorded, and Python's own warnings go their way.
        self._owner_token = OWNER.set(test.owner if test.options.leak_levels.looks else None)
        self._manager_token = current_manager.set(test.manager)
        if not self._owns_loop:
            asyncio.set_event_loop(self._loop)
        self._snapshot = None
        if test.options.leak_levels.looks:
            self._handler = self._loop.get_exception_handler()
            self._loop.set_exception_handler(self._on_loop_error)
            run.detection.watch_loop(self._loop)
            self._snapshot = run.detection.snapshot(test.owner)
            self._fails_token = FAILS.set(functools.partial(self._verdicts.fails_test, test))
        self._clock.begin()

    def end(self) -> None:
        """Shut the manager down, take the second snapshots, give the verdict.

        Raises:
            BaseException: the verdict, where it is an error of the teardown.
        """
        if not self._has_begun:
            return
        test, run = self._test, self._run
        findings: list[Finding] = []
        error: Exception | None = None
        missing: list[str] = []
        try:
            self._clock.disarm()
            for owner in test.fixture_owners:
                owner.ended = True
            test.owner.ended = True
            if not self._loop.is_closed():
                error = self._shut_manager_down()
                self._database.close_sessions(self._run_in_loop)
                if self._snapshot is not None:
                    findings = run.detection.compare(self._snapshot, self._loop, loop_ends=self._owns_loop)
                error = self._database.end(self._run_in_loop) or error
                if test.is_hung:  # what it left is what it hung on, and in the picture
                    findings = []
            elif self._snapshot is not None:
                findings = [_describe_closed_loop(test)]
            if test.leak_watch is not None and self._snapshot is not None and not test.is_hung:
                findings, missing = test.leak_watch.judge(findings)
        finally:
            if self._snapshot is not None:
                FAILS.reset(self._fails_token)
            if self._snapshot is not None and not self._loop.is_closed():
                if self._owns_loop:
                    run.detection.unwatch_loop(self._loop)
                self._loop.set_exception_handler(self._handler)
            self._clock.end()
            test.clock = test.database = None  # each knows the other
            current_manager.reset(self._manager_token)
            OWNER.reset(self._owner_token)
            run.test = None
        if run.teardown_item is test.item:
            self._verdicts.judge_test(test, findings, missing, error)

    def make_leak_watch(self) -> LeakWatch:
        """Make that with which the test says something about its leaks; it is judged with the test."""
        from pytest_uno.leaks.leak_watch import LeakWatch  # few tests need it

        detection, owner = self._run.detection, self._test.owner
        watch = self._test.leak_watch = LeakWatch(lambda: detection.ledger.of(owner), detection.ignored)
        return watch

    def _shut_manager_down(self) -> Exception | None:
        manager = self._test.manager
        if not manager.used or not manager.is_usable_in(self._loop):  # or a loop in a thread has taken it
            return None
        try:
            self._run_in_loop(manager.shutdown())
        except Exception as exc:
            return exc
        return None

    def _run_in_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work, context=contextvars.copy_context())

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if self._run.detection.handle_loop_error(loop, context):
            return
        if self._handler is not None:
            self._handler(loop, context)
        else:
            loop.default_exception_handler(context)


def _describe_closed_loop(test: TestRun) -> Finding:
    owner = OwnerInfo.of(test.owner)
    return Finding(
        rule="UNO901",
        subject="the event loop was closed before the test was over, so nothing on it could be checked",
        target=test.item.name,
        created=(Frame(owner.file or "", owner.line or 1, owner.name, "", in_app=True),),
        waiting_at=(),
        awaited_by=None,
        owner=owner,
    )
