"""Callbacks that wait on a loop: what they are called, and whether something else explains that they wait.

A pending task that leaks is reported as such, and the timer or reader that would wake it up is a part of that leak.
The two are linked by what the callback works on: the future that the task waits for, an event, the object whose
method it is.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import types
import weakref
from collections.abc import Iterable
from typing import Any

from pytest_uno.leaks.asyncio_internals import arguments_of, callback_of
from pytest_uno.leaks.judging import Judgement
from pytest_uno.leaks.retention import find_retained
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["bound_object", "explained_handles", "name_of_callback"]

_SHARED = (type, types.ModuleType, types.CodeType, types.FrameType, asyncio.AbstractEventLoop)
"""What callbacks and tasks have in common without having to do with each other."""


def name_of_callback(handle: asyncio.Handle) -> str:
    """Return the qualified name of what a handle calls; the same in each run.

    Args:
        handle: the handle.
    """
    callback: Any = callback_of(handle)
    while isinstance(callback, functools.partial):
        callback = callback.func
    return getattr(callback, "__qualname__", None) or type(callback).__qualname__


def bound_object(handle: asyncio.Handle) -> object | None:
    """Return the object whose method a handle calls; None for a function.

    Args:
        handle: the handle.
    """
    callback: Any = callback_of(handle)
    while isinstance(callback, functools.partial):
        callback = callback.func
    return callback.__self__ if isinstance(callback, types.MethodType) else None


def explained_handles(
    handles: Iterable[asyncio.Handle], judgement: Judgement, births: TaskBirths
) -> set[int]:
    """Return the identities of the handles that are a part of a task that is reported, or of what is explained.

    Args:
        handles: handles that were not cancelled.
        judgement: whom it is about.
        births: knows whose a task is.
    """
    parts = {id(handle): _parts(handle) for handle in handles}
    if not parts:
        return set()
    tasks = [
        births.coroutine(task)
        for task in asyncio.all_tasks(judgement.loop)
        if judgement.concerns(births.owner(task))
    ]
    held = find_retained((part for each in parts.values() for part in each), {"tasks": tasks})
    explained = judgement.explained
    return {
        key
        for key, each in parts.items()
        if key in explained or any(id(part) in held or id(part) in explained for part in each)
    }


def _parts(handle: asyncio.Handle) -> list[object]:
    """Return what a handle works on, itself included."""
    parts: list[object] = [handle]
    seen: dict[int, object] = {}
    ahead: list[Any] = [callback_of(handle), *arguments_of(handle)]
    while ahead:
        item = ahead.pop()
        if id(item) in seen:
            continue
        seen[id(item)] = item
        if isinstance(item, functools.partial):
            ahead += (item.func, *item.args, *item.keywords.values())
        elif isinstance(item, types.FunctionType):
            ahead += (cell.cell_contents for cell in item.__closure__ or () if not _is_empty(cell))
        elif isinstance(item, types.MethodType | types.BuiltinMethodType):
            ahead.append(item.__self__)
        elif isinstance(item, weakref.ref):
            ahead.append(item())
        elif isinstance(item, tuple | list):
            ahead += item
        elif gc.is_tracked(item) and not isinstance(item, _SHARED):
            parts.append(item)
    return parts


def _is_empty(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False
