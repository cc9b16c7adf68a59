"""Waiting for tasks with a limit that may be cut short, by a waiter that nothing can interrupt.

Shutting down waits again and again, and each time the same four things must hold, which no function of
asyncio offers together: there is one deadline for everything; `hurry()` ends the present and every later
wait; a cancellation of the waiting task, which is what `asyncio.run` does to it at the end, hurries and does
not break off; and a task can be taken out of what is waited for, because it waits for us.

Being out of time must not mean that a task which would end at once counts as one that ignores its
cancellation. Ending takes passes of the loop (the cancellation is thrown, travels from task to task,
`finally` blocks run), not seconds. So a wait always grants a few passes.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Any

from pytest_uno.core.closers import call_and_await
from pytest_uno.core.errors import ResourceError, TaskLeakError, compose_message
from pytest_uno.core.task_location import describe_task
from pytest_uno.core.uninterrupted import add_note_once

__all__ = ["BoundedWait"]

_PASSES = 10  # of the loop, granted when there is no time left
_CANCELLATION_SECONDS = 1.0  # for what was cancelled because it was late


class BoundedWait:
    """One deadline for a series of waits in one task.

    Args:
        seconds: until the deadline, on the running loop's clock.
        hurried: begin without any time.
    """

    def __init__(self, seconds: float = math.inf, *, hurried: bool = False) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + seconds
        self._hurried = hurried
        self._pending: set[asyncio.Future[Any]] = set()
        self._waiter: asyncio.Future[None] | None = None

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; 0 when it is over or `hurry()` was called."""
        return 0.0 if self._hurried else max(0.0, self._deadline - self._loop.time())

    def hurry(self) -> None:
        """Wait no more, now and later, beyond a few passes of the loop."""
        self._hurried = True
        self._wake()

    def excuse(self, task: asyncio.Future[Any]) -> None:
        """Take a task out of what is being waited for."""
        if task in self._pending:
            self._end(task)

    async def wait(self, tasks: Iterable[asyncio.Future[Any]], seconds: float) -> None:
        """Wait until the tasks have ended or were excused, or the time is over; raises nothing.

        Args:
            tasks: what to wait for.
            seconds: how long, the deadline permitting.
        """
        pending = self._pending = {task for task in tasks if not task.done()}
        seconds = min(seconds, self.remaining)
        if pending and seconds > 0:
            waiter = self._waiter = self._loop.create_future()
            timer = self._loop.call_later(seconds, self._wake) if seconds < math.inf else None
            for task in pending:
                task.add_done_callback(self._end)
            try:
                await waiter
            except asyncio.CancelledError:
                self._hurried = True
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
                for task in pending:
                    task.remove_done_callback(self._end)
        for _ in range(_PASSES):
            if all(task.done() for task in pending):
                break
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                self._hurried = True
        self._pending = set()

    async def call(self, func: Callable[[], Any], what: str, seconds: float) -> Exception | None:
        """Call a function in a task of its own, and bound its time; raises nothing.

        Args:
            func: a function without parameters, sync or async.
            what: names the call in errors and its task.
            seconds: how long it may take before it is cancelled, the deadline permitting.

        Returns:
            What went wrong: the function's error with a note, a `TimeoutError` if it was late, a
            `TaskLeakError` if it ignored its cancellation, a `ResourceError` if it was cancelled or raised no
            `Exception`.
        """
        limit = min(seconds, self.remaining)
        task = self._loop.create_task(call_and_await(func), name=what)
        await self.wait((task,), seconds)
        late = not task.done()
        if late:
            task.cancel()
            await self.wait((task,), _CANCELLATION_SECONDS)
        if not task.done():
            return TaskLeakError(
                compose_message(
                    f"{what} did not end although it was cancelled: {describe_task(task)}",
                    cause="it swallows CancelledError",
                    fix="let CancelledError pass, at the latest after cleaning up",
                    anchor="stubborn-task",
                ),
                (task,),
            )
        if task.cancelled():
            return self._make_timeout_error(what, limit) if late else ResourceError(f"{what} was cancelled")
        exception = task.exception()
        if exception is None:
            return self._make_timeout_error(what, limit) if late else None
        add_note_once(exception, f"raised by {what}")
        if isinstance(exception, Exception):
            return exception
        error = ResourceError(f"{what} raised {exception!r}")
        error.__cause__ = exception
        return error

    @staticmethod
    def _make_timeout_error(what: str, limit: float) -> TimeoutError:
        return TimeoutError(
            compose_message(
                f"{what} was cancelled: it did not end within {limit:.3g} s",
                fix="make it faster, or raise `timeout=`, `close_timeout=` or `shutdown_timeout=`",
                anchor="shutdown-too-slow",
            )
        )

    def _end(self, task: asyncio.Future[Any]) -> None:
        self._pending.discard(task)
        if not self._pending:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
