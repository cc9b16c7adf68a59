"""Find who awaits a task, from the callbacks that the awaiting left on it.

`await task` leaves the wake-up of the awaiting task; `gather`, `shield`, `wait` and `as_completed` leave a
function of asyncio whose closure has the future that their caller waits for; a `TaskGroup` leaves a method of
its own. Following them upwards ends at a task. Functions of other modules are not followed: what their
closures mean is unknown.
"""

from __future__ import annotations

import asyncio
import functools
import types
from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

from pytest_uno.clock import asyncio_internals

__all__ = ["awaiter_of", "awaiters", "captured", "is_future", "is_task"]

_LIMIT = 20
"""Deepest nesting of `gather` in `gather` that is followed."""


def awaiters(tasks: Iterable[asyncio.Task[Any]]) -> dict[asyncio.Task[Any], asyncio.Task[Any]]:
    """Say who awaits each task.

    Directly or by way of `gather`, `shield`, `wait`, `wait_for`, `as_completed` or a `TaskGroup`. The tasks
    of a group are awaited by the task that entered the group, from their creation on. May be called from any
    thread; never raises.

    Args:
        tasks: the tasks in question.

    Returns:
        The awaiting task by awaited task. A task that nobody awaits is missing; of several awaiting ones, the
        first.
    """
    found: dict[asyncio.Task[Any], asyncio.Task[Any]] = {}
    for task in list(tasks):
        awaiter = awaiter_of(task)
        if awaiter is not None:
            found[task] = awaiter
    return found


def awaiter_of(task: asyncio.Task[Any]) -> asyncio.Task[Any] | None:
    """Say which task awaits a task; None when none does or it cannot be told.

    Args:
        task: the task in question.
    """
    try:
        return _climb(task, _LIMIT)
    except Exception:  # the callbacks changed meanwhile, or are those of a foreign future type
        return None


def captured(callback: object) -> Iterator[object]:
    """Yield what a callback of asyncio carries: the object it is bound to, its arguments, its closure.

    Args:
        callback: a done callback of a future.
    """
    if isinstance(callback, functools.partial) and callback.func.__module__.startswith("asyncio."):
        yield from callback.args
    elif isinstance(callback, (types.MethodType, types.BuiltinMethodType)):
        yield callback.__self__
    elif isinstance(callback, types.FunctionType) and callback.__module__.startswith("asyncio."):
        for cell in callback.__closure__ or ():
            yield asyncio_internals.cell_value(cell)


def is_task(item: object) -> TypeGuard[asyncio.Task[Any]]:
    """Say whether an object is a task of asyncio or derived from it."""
    return isinstance(item, asyncio.Task)


def is_future(item: object) -> TypeGuard[asyncio.Future[Any]]:
    """Say whether an object is a future of asyncio, be it a task or not."""
    return isinstance(item, asyncio.Future)


def _is_queue(item: object) -> TypeGuard[asyncio.Queue[Any]]:
    return isinstance(item, asyncio.Queue)


def _climb(future: object, limit: int) -> asyncio.Task[Any] | None:
    for callback in asyncio_internals.callbacks_of(future):
        for item in captured(callback):
            found = None
            if isinstance(item, asyncio.TaskGroup):
                found = asyncio_internals.group_host(item)
            elif is_task(item):
                # Not every method of a task is its wake-up: `add_done_callback(other.cancel)` awaits nothing.
                found = item if asyncio_internals.waiter_of(item) is future else None
            elif is_future(item):
                found = _climb(item, limit - 1) if limit else None
            else:
                queue = item if _is_queue(item) else asyncio_internals.results_queue(item)
                if queue is not None and limit:
                    found = next(
                        filter(None, (_climb(w, limit - 1) for w in asyncio_internals.queue_waiters(queue))),
                        None,
                    )
            if found is not None:
                return found
    return None
