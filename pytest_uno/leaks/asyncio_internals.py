"""Every private attribute of asyncio and of the warnings module that the detectors touch, with its reason.

Nothing else in `pytest_uno.leaks` may read or write an underscore attribute of theirs. What is missing
reads as "unknown". `tests/leaks/test_asyncio_internals.py` checks each of them on every supported Python.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import warnings
from collections.abc import Callable
from typing import Any, cast

__all__ = [
    "callback_of",
    "context_of",
    "coroutine_of",
    "forget_exception",
    "forget_pending",
    "task_context",
    "warning_sink",
]


def context_of(handle: object) -> contextvars.Context | None:
    """Return the context that a handle's callback runs in.

    `Handle._context` (3.11 to 3.15); public as `Handle.get_context` since 3.12.

    Args:
        handle: what a loop hands to its exception handler.
    """
    return cast("contextvars.Context | None", getattr(handle, "_context", None))


def callback_of(handle: object) -> Callable[..., object] | None:
    """Return the callback of a handle; the loop's message names it too, but with memory addresses.

    `Handle._callback` (3.11 to 3.15).

    Args:
        handle: what a loop hands to its exception handler.
    """
    return cast("Callable[..., object] | None", getattr(handle, "_callback", None))


def coroutine_of(task: asyncio.Task[Any]) -> object:
    """Return what a task runs or has run; None if it has let go of it, as one does that started eagerly.

    `Task._coro` (3.11 to 3.15): the public `Task.get_coro()` of 3.12.0 and 3.12.1 crashes the interpreter if
    an eager start has finished the task.

    Args:
        task: the task.
    """
    return getattr(task, "_coro") if hasattr(task, "_coro") else task.get_coro()  # noqa: B009


def task_context(task: asyncio.Task[Any]) -> contextvars.Context | None:
    """Return the context of a task; None on 3.11, which keeps it to itself.

    Args:
        task: the task.
    """
    get_context = getattr(task, "get_context", None)
    return None if get_context is None else get_context()


def forget_pending(task: asyncio.Task[Any]) -> None:
    """Keep a task from complaining that it was destroyed while pending.

    `Task._log_destroy_pending` (3.11 to 3.15): asyncio's own `gather` and `shutdown` set it the same way.

    Args:
        task: a task that has been reported already.
    """
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def forget_exception(future: asyncio.Future[Any]) -> None:
    """Keep a failed future from complaining that its exception was never retrieved.

    Args:
        future: a future or task that is done; may be cancelled.
    """
    if not future.cancelled():
        future.exception()


def warning_sink() -> object:
    """Return what receives warnings at this moment; another object inside of `catch_warnings(record=True)`.

    `warnings._showwarnmsg_impl` (3.11 to 3.15) is what `catch_warnings` replaces. With context-aware
    warnings (3.14 and newer, the default of free-threaded builds) it is the `log` of
    `warnings._get_context()`.
    """
    if getattr(sys.flags, "context_aware_warnings", False):
        log = getattr(warnings._get_context(), "log", None)  # type: ignore[attr-defined]
        if log is not None:
            return log
    return warnings._showwarnmsg_impl  # type: ignore[attr-defined]
