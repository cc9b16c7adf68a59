"""How a run on the virtual loop fails: the root task is cancelled, everything unwinds, then the error is raised.

The error comes out of `run_until_complete` even when the cancellation was swallowed on the way.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pytest_uno.clock.asyncio_internals import callback_entries, waiter_of

__all__ = ["RunFailure"]


class RunFailure:
    """The failure of one loop's current run; must be used in the loop's thread."""

    def __init__(self) -> None:
        self._roots: list[asyncio.Future[Any]] = []
        self._error: BaseException | None = None

    @property
    def root(self) -> asyncio.Future[Any] | None:
        """What the loop runs for; None under `run_forever`."""
        return self._roots[-1] if self._roots else None

    def enter(self, root: asyncio.Future[Any]) -> None:
        """Begin to run for a task."""
        self._roots.append(root)

    def leave(self) -> BaseException | None:
        """End the run for a task, and return its failure, if there was one."""
        self._roots.pop()
        error, self._error = self._error, None
        return error

    def fail(self, error: BaseException) -> None:
        """Make the run fail.

        Raises:
            BaseException: at once, when there is no task to cancel, or when the clean-up after a first failure fails,
                too; then the first one.
        """
        root = self.root
        if self._error is not None:
            raise self._error
        if not isinstance(root, asyncio.Task):
            raise error
        self._error = error
        _break_cycles(root.get_loop())
        root.cancel(str(error).partition("\n")[0])


def _break_cycles(loop: asyncio.AbstractEventLoop) -> None:
    """Wake one task of each ring of tasks that await each other.

    `Task.cancel` passes the cancellation on to the task that is awaited: around a ring it recurses until Python gives
    up, in plain asyncio as well.
    """
    for task in _one_of_each_ring(asyncio.all_tasks(loop)):
        awaited = waiter_of(task)
        for callback, context in callback_entries(awaited):
            if awaited is not None and getattr(callback, "__self__", None) is task:
                awaited.remove_done_callback(callback)
                cancelled: asyncio.Future[None] = asyncio.Future(loop=loop)
                cancelled.cancel()
                loop.call_soon(callback, cancelled, context=context)
                break


def _one_of_each_ring(tasks: set[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    awaited = {task: on for task in tasks if isinstance(on := waiter_of(task), asyncio.Task)}
    found: list[asyncio.Task[Any]] = []
    seen: set[asyncio.Task[Any]] = set()
    for task in tasks:
        path: list[asyncio.Task[Any]] = []
        current = task
        while current in awaited and current not in seen:
            seen.add(current)
            path.append(current)
            current = awaited[current]
        if current in path:
            found.append(current)
    return found
