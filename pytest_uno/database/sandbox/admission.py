"""Who may use the one connection now, and who waits for it.

One call at a time is on the wire. Beyond that, a transaction that has written or locked something is the only one until
it ends: what it did could not be told from what others did otherwise. Transactions that have only read give way. Tasks
wait in the order in which they came, for a limited real time; a wait within one task could never end, so it is refused
at once.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from typing import TYPE_CHECKING, Any, Literal

from pytest_uno.clock.real_time import monotonic
from pytest_uno.core.errors import SandboxConflict
from pytest_uno.database.sandbox.checkout import Checkout
from pytest_uno.database.sandbox.conflicts import (
    interleaved_error,
    same_task_error,
    timeout_error,
    two_tasks_error,
)
from pytest_uno.database.sandbox.queue_watch import QueueWatches

if TYPE_CHECKING:
    from pytest_uno.database.user_frames import UserFrames

__all__ = ["Admission"]


class _Waiter:
    """A task that waits for its turn."""

    def __init__(self, checkout: Checkout, task: asyncio.Task[Any] | None, *, ends: bool) -> None:
        self.checkout = checkout
        self.task = task
        self.ends = ends
        self.loop = asyncio.get_running_loop()
        self.turn: asyncio.Future[None] = self.loop.create_future()
        self.since = monotonic()
        self.is_over = False
        self.is_served = False

    def end(self, error: Exception | None = None) -> None:
        """Let it go on, or fail; it may wait on the loop of another thread."""
        self.is_over = True
        self.is_served = error is None
        if _running_loop() is self.loop:
            self._wake(error)
        else:
            self.loop.call_soon_threadsafe(self._wake, error)

    def _wake(self, error: Exception | None) -> None:
        if self.turn.done():
            return
        if error is None:
            self.turn.set_result(None)
        else:
            self.turn.set_exception(error)


class Admission:
    """Admits the calls of the checkouts of one sandbox.

    Args:
        conflict: whether a second connection in the task that holds the first is refused or nested.
        wait: real seconds that a task waits for another one, at most.
        frames: knows the user's lines, for messages.

    Attributes:
        wire: whose call is under way.
        stack: the checkouts that have a savepoint, the outermost first.
    """

    def __init__(self, conflict: Literal["error", "join"], wait: float, frames: UserFrames) -> None:
        self.wire: Checkout | None = None
        self.stack: list[Checkout] = []
        self._conflict = conflict
        self._wait = wait
        self._frames = frames
        self._waiters: collections.deque[_Waiter] = collections.deque()
        self._watches = QueueWatches(self._task_ahead, self._end_late_waits)
        self._progress = 0.0
        """The real moment at which the connection was last handed on with nothing uncommitted."""

    def holder(self) -> Checkout | None:
        """Return the innermost transaction that has written or locked something."""
        for checkout in reversed(self.stack):
            if checkout.is_exclusive:
                return checkout
        return None

    def try_enter(self, checkout: Checkout, task: asyncio.Task[Any] | None, *, ends: bool = False) -> bool:
        """Take the wire if it is free for a checkout; False if it has to wait.

        Args:
            checkout: who wants to use the connection.
            task: the task that does.
            ends: to end its own transaction.

        Raises:
            SandboxConflict: it could wait for ever.
        """
        if not self._is_free_for(checkout, task, ends=ends):
            return False
        self.wire = checkout
        return True

    def _is_free_for(self, checkout: Checkout, task: asyncio.Task[Any] | None, *, ends: bool) -> bool:
        stack = self.stack
        if stack and not ends and stack[-1] is not checkout:
            holder = self.holder()
            if holder is not None and holder is not checkout:
                if holder.task is not task:
                    return False
                if checkout in stack:
                    raise interleaved_error(checkout, holder, self._frames)
                if self._conflict == "error":
                    raise same_task_error(checkout, holder, self._frames)
        return self.wire is None

    async def wait_turn(
        self, checkout: Checkout, task: asyncio.Task[Any] | None, *, ends: bool = False
    ) -> None:
        """Wait until the wire is free for a checkout, and take it.

        The time limit is that of one holder: it begins anew with the next one.

        Args:
            checkout: who wants to use the connection.
            task: the task that does.
            ends: to end its own transaction.

        Raises:
            SandboxConflict: the time limit has passed, or it could wait for ever.
            SandboxError: the test has ended meanwhile.
        """
        waiter = _Waiter(checkout, task, ends=ends)
        self._waiters.append(waiter)
        self._watches.enter(waiter.loop)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.is_served:
                self.leave()  # the turn came together with the cancellation
            raise
        finally:
            self._watches.leave(waiter.loop)
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)

    def _end_late_waits(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        """Let the tasks of a loop fail that have waited for too long."""
        for waiter in tuple(self._waiters):
            # Where others get their turn, a long queue is no deadlock.
            began = max(waiter.since, self._progress)
            if waiter.loop is loop and not waiter.is_over and now >= began + self._wait:
                ahead = self.holder() or self.wire
                waiter.end(timeout_error(waiter.checkout, ahead, waiter.task, self._wait, self._frames))

    def _task_ahead(self) -> asyncio.Task[Any] | None:
        ahead = self.holder() or self.wire
        return None if ahead is None else ahead.task

    def leave(self) -> None:
        """Give the wire to the first of those who wait that may have it."""
        self.wire = None
        if self._waiters:
            if self.holder() is None:
                self._progress = monotonic()
            self.pass_on()

    def pass_on(self) -> None:
        """Give the wire, if it is free, to the first of those who wait that may have it."""
        if self.wire is not None:
            return
        for waiter in self._waiters:
            if waiter.is_over or waiter.turn.done():
                continue
            if self._is_free_for(waiter.checkout, waiter.task, ends=waiter.ends):
                self.wire = waiter.checkout
                waiter.end()
                return

    def refuse_all(self, error: Exception) -> None:
        """Let those who wait fail.

        Args:
            error: with what.
        """
        for waiter in self._waiters:
            if not waiter.is_over:
                waiter.end(error)

    def refuse_outer(self, checkout: Checkout, nested: Checkout) -> None:
        """Refuse to end a transaction while another one is nested in it.

        Args:
            checkout: whose transaction is to end.
            nested: the one that is nested in it.

        Raises:
            SandboxConflict: always.
        """
        raise interleaved_error(checkout, nested, self._frames)

    async def until_free(self) -> None:
        """Wait until no call is under way, as long as a task would wait for its turn."""
        if self.wire is None:
            return
        with contextlib.suppress(SandboxConflict):
            nobody = Checkout(0, [], is_autocommit=False)
            await self.wait_turn(nobody, asyncio.current_task(), ends=True)
            self.wire = None

    def refuse_second_task(self, checkout: Checkout, task: asyncio.Task[Any] | None) -> None:
        """Refuse a checkout that is in use already.

        Args:
            checkout: whose call is under way.
            task: the task that wants to use it as well.

        Raises:
            SandboxConflict: always.
        """
        raise two_tasks_error(checkout, task, self._frames)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # the garbage collector has come by
        return None
