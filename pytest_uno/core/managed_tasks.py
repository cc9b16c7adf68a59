"""The tasks of one manager, and what becomes of their failures."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_uno.core.asyncio_internals import peek_exception

if TYPE_CHECKING:
    from pytest_uno.core.managed_group import ManagedGroup

__all__ = ["ManagedTasks"]

_MOST_FAILURES = 1000  # kept for the shutdown; older ones were reported when they happened


class ManagedTasks:
    """Strong references to running tasks and open groups, and the failures that nobody has seen.

    A failed task that somebody awaits has its exception retrieved in the same pass of the loop in which it
    ends. So one pass later is the earliest moment at which a failure is known to be unseen.

    Args:
        report: called with a task and its exception when a failure is unseen after one pass of the loop.
    """

    __slots__ = ("_failed", "_report", "groups", "holds_back", "keeps_failures", "running")

    def __init__(self, report: Callable[[asyncio.Task[Any], BaseException], object]) -> None:
        # Dictionaries for their order: tasks are cancelled and listed oldest first.
        self.running: dict[asyncio.Task[Any], None] = {}
        self.groups: dict[ManagedGroup, None] = {}
        self.holds_back = False  # during a shutdown, which raises failures itself
        self.keeps_failures = True  # until there is no shutdown left to raise them
        self._failed: deque[asyncio.Task[Any]] | None = None
        self._report = report

    def list_unfinished(self) -> list[asyncio.Task[Any]]:
        """Return the unfinished tasks, those of open groups included, each once."""
        unfinished = dict(self.running)
        for group in self.groups:
            unfinished.update(dict.fromkeys(group.active_tasks))
        return list(unfinished)

    def list_failed(self) -> list[asyncio.Task[Any]]:
        """Return the failed tasks whose exception nobody has seen, without looking at it."""
        return [task for task in self._failed or () if peek_exception(task) is not None]

    def take_failed(self) -> list[asyncio.Task[Any]]:
        """Return what `list_failed` does, and forget it."""
        failed = self.list_failed()
        self._failed = None
        return failed

    def task_done(self, task: asyncio.Task[Any]) -> None:
        """Take note of the end of a task: its done-callback."""
        self.running.pop(task, None)
        if peek_exception(task) is not None:
            if self.keeps_failures:
                if self._failed is None:
                    self._failed = deque(maxlen=_MOST_FAILURES)
                self._failed.append(task)
            self.report_if_unseen(task)

    def report_if_unseen(self, task: asyncio.Task[Any]) -> None:
        """Report a task's failure in the next pass of the loop, unless somebody has seen it by then."""
        task.get_loop().call_soon(self._report_now, task)

    def _report_now(self, task: asyncio.Task[Any]) -> None:
        if not self.holds_back and (exception := peek_exception(task)) is not None:
            self._report(task, exception)
