"""Things that a leaked task holds: they are a part of that leak, and go with the task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from pytest_uno.leaks.judging import Judgement
from pytest_uno.leaks.retention import find_retained
from pytest_uno.leaks.tasks.task_births import AnyTask, TaskBirths

__all__ = ["HeldByTasks", "pending_tasks"]


def pending_tasks(judgement: Judgement, births: TaskBirths, *, users: bool) -> list[AnyTask]:
    """Return the pending tasks that a judgement is about.

    Args:
        judgement: whom it is about.
        births: knows whose a task is.
        users: those that the user's code has made, or else those that a server or library makes by itself.
    """
    return [
        task
        for task in asyncio.all_tasks(judgement.loop)
        if births.is_users(task) is users and judgement.concerns(births.owner(task))
    ]


class HeldByTasks:
    """The things of one kind that leaked tasks hold, until those tasks have ended.

    Args:
        births: knows whose a task is.
        dispose: closes a thing; called without a loop that runs.
    """

    def __init__(self, births: TaskBirths, dispose: Callable[[Any], None]) -> None:
        self._births = births
        self._dispose = dispose
        self._held: list[tuple[AnyTask, object]] = []

    def find(self, things: Sequence[object], judgement: Judgement, *, users: bool = True) -> set[int]:
        """Return the identities of the things that leaked tasks hold, which the tasks are reported for.

        Args:
            things: things that look like a leak.
            judgement: whom it is about.
            users: which tasks, see `pending_tasks`.
        """
        if not things:
            return set()
        kept = {id(thing) for task, thing in self._held if not task.done()}
        tasks = pending_tasks(judgement, self._births, users=users)
        held = (
            find_retained(things, {task: [self._births.coroutine(task)] for task in tasks}) if tasks else {}
        )
        self._held += [
            (held[id(thing)], thing) for thing in things if id(thing) in held and id(thing) not in kept
        ]
        return {*held, *(id(thing) for thing in things if id(thing) in kept)}

    def forget_test(self) -> None:
        """Dispose of what belonged to tasks that have ended since; a wider fixture has kept the others."""
        ended = [thing for task, thing in self._held if task.done()]
        self._held = [(task, thing) for task, thing in self._held if not task.done()]
        for thing in ended:
            self._dispose(thing)

    def clear(self) -> None:
        """Let go of everything."""
        self._held.clear()
