"""Every private attribute of tasks and loops that UNO103 and the recording of tasks touch, each with its reason.

A part of `asyncio_internals`, whose rules hold here. `tests/leaks/test_task_internals.py` checks each of them on
every supported Python.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from asyncio import tasks
from typing import Any, TypeAlias, cast

from pytest_uno.clock.await_chain import await_links

__all__ = [
    "has_failed",
    "is_cancelled_by_error",
    "is_method_of_class",
    "makes_tasks_itself",
    "must_cancel",
    "raced_by_wait_for",
    "waited_for",
]

AnyFuture: TypeAlias = "asyncio.Future[Any]"

_WAIT_FOR_SWALLOWS = sys.version_info < (3, 12)
"""`wait_for` of 3.11 drops a cancellation that comes while the result is there already (python/cpython#86296)."""


def is_method_of_class(thing: object, name: str) -> bool:
    """Say whether an object has a method from its class, and no attribute of its own over it.

    Asked without the object's dictionary, which CPython would have to make.

    Args:
        thing: the object.
        name: the method.
    """
    method = getattr(thing, name)
    return getattr(method, "__self__", None) is thing and (
        getattr(method, "__func__", None) is getattr(type(thing), name, None)
    )


def makes_tasks_itself(loop: asyncio.AbstractEventLoop) -> bool:
    """Say whether a loop makes tasks exactly as asyncio's own `create_task` does.

    Not one with a method of its own, nor where somebody has replaced `asyncio.tasks.Task` (3.11 to 3.15), as
    `nest_asyncio` does.

    `BaseEventLoop._closed`, `._debug` and `._task_factory` (3.11 to 3.15) are what whoever makes its tasks looks at: to
    call the public methods would be half of what the recording of a task may cost.

    Args:
        loop: any loop.
    """
    return (
        getattr(type(loop), "create_task", None) is asyncio.BaseEventLoop.create_task
        and is_method_of_class(loop, "create_task")
        and all(hasattr(loop, name) for name in ("_closed", "_debug", "_task_factory"))
        and tasks.Task is asyncio.Task is getattr(tasks, "_CTask", None)
    )


def waited_for(task: asyncio.Task[Any]) -> AnyFuture | None:
    """Return the future that a task waits for.

    `Task._fut_waiter` (3.11 to 3.15).

    Args:
        task: the task.
    """
    return cast("AnyFuture | None", getattr(task, "_fut_waiter", None))


def must_cancel(task: asyncio.Task[Any]) -> bool:
    """Say whether the next step of a task will deliver a cancellation, rather than the future it waits for.

    `Task._must_cancel` (3.11 to 3.15).

    Args:
        task: the task.
    """
    return bool(getattr(task, "_must_cancel", False))


def has_failed(task: asyncio.Task[Any]) -> bool:
    """Say whether a finished task has failed, without looking at its exception.

    `Future._exception` (3.11 to 3.15).

    Args:
        task: a task that is done.
    """
    return getattr(task, "_exception", None) is not None


def is_cancelled_by_error(future: AnyFuture) -> bool:
    """Say whether a future has failed with `CancelledError`, as that of a cancelled `gather` does.

    `Future._exception` (3.11 to 3.15).

    Args:
        future: the future.
    """
    return isinstance(getattr(future, "_exception", None), asyncio.CancelledError)


def raced_by_wait_for(task: asyncio.Task[Any], waiter: AnyFuture | None) -> AnyFuture | None:
    """Return the future whose result `wait_for` returns even if it is cancelled; always None since 3.12.

    Args:
        task: a task.
        waiter: what it waits for.
    """
    if not _WAIT_FOR_SWALLOWS or waiter is None:
        return None
    return _raced_by_wait_for(task, waiter)  # pragma: no cover - 3.11 only


def _raced_by_wait_for(
    task: asyncio.Task[Any], waiter: AnyFuture
) -> AnyFuture | None:  # pragma: no cover - 3.11 only
    links = await_links(task.get_coro())
    if not links or links[-1].code is not tasks.wait_for.__code__:
        return None
    for held in gc.get_referents(links[-1].awaitable):  # its locals: to ask the frame would pin them
        if isinstance(held, asyncio.Future) and held is not waiter:
            return cast("AnyFuture", held)  # type: ignore[redundant-cast]  # pyright knows less
    return None
