"""The tasks of a group, and which of the finished ones it still knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["TaskHistory"]

_LEAST_TO_THIN_OUT = 64  # tasks; below that, thinning out costs more than it frees


class TaskHistory:
    """Tasks in the order of their creation, of which old finished ones are forgotten.

    The list is thinned out whenever it has doubled, so that a task costs amortised constant time and space,
    and no done-callback.

    Args:
        limit: how many finished tasks to keep at least; None keeps all.
        on_forget: called with each finished task that is forgotten.
    """

    __slots__ = ("_limit", "_on_forget", "_tasks", "_thin_out_at")

    def __init__(self, limit: int | None, on_forget: Callable[[asyncio.Task[Any]], None]) -> None:
        self._limit = limit
        self._on_forget = on_forget
        self._tasks: list[asyncio.Task[Any]] = []
        self._thin_out_at = max(_LEAST_TO_THIN_OUT, 2 * (limit or 0))

    def add(self, task: asyncio.Task[Any]) -> None:
        """Add a task, the youngest now."""
        self._tasks.append(task)
        if self._limit is not None and len(self._tasks) >= self._thin_out_at:
            self._thin_out(self._limit)

    def _thin_out(self, limit: int) -> None:
        finished = [task for task in self._tasks if task.done()]
        forgotten = set(finished[: max(0, len(finished) - limit)])
        for task in forgotten:
            self._on_forget(task)
        self._tasks = [task for task in self._tasks if task not in forgotten]
        self._thin_out_at = max(_LEAST_TO_THIN_OUT, 2 * len(self._tasks))

    @property
    def all(self) -> list[asyncio.Task[Any]]:
        """Every task that is known, in a new list."""
        return list(self._tasks)

    @property
    def active(self) -> list[asyncio.Task[Any]]:
        """The unfinished tasks."""
        return [task for task in self._tasks if not task.done()]

    @property
    def completed(self) -> list[asyncio.Task[Any]]:
        """The tasks that ran to their end, with a result or an error."""
        return [task for task in self._tasks if task.done() and not task.cancelled()]

    @property
    def cancelled(self) -> list[asyncio.Task[Any]]:
        """The tasks that ended by being cancelled."""
        return [task for task in self._tasks if task.cancelled()]

    @property
    def failed(self) -> list[asyncio.Task[Any]]:
        """Those of `completed` that raised an error."""
        return [task for task in self.completed if task.exception() is not None]
