"""Tasks whose place in a set is the same in each schedule.

`TaskGroup` and `asyncio.wait` keep tasks in sets, and cancel them in the order of the set: with the hash of an object,
its address, two runs of the same schedule may differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["SteadyTask", "make_task"]


class SteadyTask(asyncio.Task[Any]):
    """A task that is hashed by its number; must be made by `make_task`."""

    __slots__ = ("number",)

    number: int
    upcoming = 0
    """The number of the task that is made next: asyncio asks for the hash before the task is made."""

    def __new__(cls, *args: Any, **options: Any) -> SteadyTask:  # noqa: D102
        task = super().__new__(cls)
        task.number = cls.upcoming
        return task

    def __hash__(self) -> int:
        return self.number


def make_task(
    loop: asyncio.AbstractEventLoop, number: int, coroutine: Coroutine[Any, Any, Any], options: dict[str, Any]
) -> SteadyTask:
    """Make a task with a number.

    Args:
        loop: its loop.
        number: how many tasks the loop has made before.
        coroutine: what it runs.
        options: what else `asyncio.Task` takes.
    """
    SteadyTask.upcoming = number
    return SteadyTask(coroutine, loop=loop, **options)
