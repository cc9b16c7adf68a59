"""The class of the tasks that watched loops make: asyncio's own, with room for a birth and an eye on cancellations.

Nothing tells from outside that a task was cancelled, nor by whom: the method is C's, on a class that takes no
attributes. So what a watched loop makes is a subclass that looks the same in every text and to `isinstance`; only
`type(task) is asyncio.Task` is False. It has slots, which cost less than a dictionary, and tasks that a factory of the
user makes keep the class that the factory gives them.
"""

from __future__ import annotations

import asyncio
import sys
from types import FrameType
from typing import Any, Protocol

from pytest_uno.leaks.tasks.task_internals import waited_for

__all__ = ["CancellationObserver", "WatchedTask", "make_task_class"]

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


class CancellationObserver(Protocol):
    """Is told what happens to the cancellations of watched tasks."""

    def requested(
        self, task: WatchedTask, waiter: asyncio.Future[Any] | None, caller: FrameType | None
    ) -> None:
        """Take note that a task is being cancelled.

        Args:
            task: the task.
            waiter: what it waited for just before.
            caller: the frame that called `cancel`.
        """
        ...

    def taken_back(self, task: WatchedTask, caller: FrameType | None) -> None:
        """Take note that a cancellation was taken back with `uncancel`.

        Args:
            task: the task.
            caller: the frame that called `uncancel`.
        """
        ...


class WatchedTask(asyncio.Task[Any]):
    """A task with room for what the detectors know of it.

    Attributes:
        pytest_uno_line: owner and line of birth, in most cases; unset otherwise.
        pytest_uno_cancellations: what the observer keeps; unset before the first.
    """

    __slots__ = ("_pytest_uno_birth", "pytest_uno_cancellations", "pytest_uno_line")

    pytest_uno_line: object
    pytest_uno_cancellations: object


def make_task_class(observer: CancellationObserver) -> type[WatchedTask]:
    """Return a class of tasks that tell of their cancellations.

    Args:
        observer: is told.
    """

    class Task(WatchedTask):
        __slots__ = ()

        def cancel(self, msg: Any | None = None) -> bool:
            waiter = waited_for(self)
            is_requested = super().cancel(msg)
            if is_requested:
                observer.requested(self, waiter, _getframe(1))
            return is_requested

        def uncancel(self) -> int:
            observer.taken_back(self, _getframe(1))
            return super().uncancel()

    for each in (Task.cancel, Task.uncancel):
        each.__doc__ = getattr(asyncio.Task, each.__name__).__doc__
        each.__qualname__ = f"Task.{each.__name__}"
    Task.__doc__ = asyncio.Task.__doc__
    Task.__module__, Task.__qualname__ = asyncio.Task.__module__, asyncio.Task.__qualname__
    return Task
