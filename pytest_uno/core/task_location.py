"""Where a task is waiting, for messages."""

from __future__ import annotations

import asyncio
import os
from types import FrameType
from typing import Any

__all__ = ["describe_task"]

_ASYNCIO = os.path.dirname(asyncio.__file__)  # pathlib would double what importing the core costs


def describe_task(task: asyncio.Future[Any]) -> str:
    """Name a task and the line it is waiting at.

    Args:
        task: a task; may be finished.

    Returns:
        `'NAME' at FILE:LINE in FUNCTION`, the innermost line outside of asyncio itself, or just the name if
        the task has no line to be at.
    """
    name: str = task.get_name() if isinstance(task, asyncio.Task) else repr(task)
    frame = _find_innermost_frame(getattr(task, "get_coro", lambda: None)())
    if frame is None:
        return repr(name)
    return f"{name!r} at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"


def _find_innermost_frame(awaitable: Any) -> FrameType | None:
    # Task.get_stack() ends at the outermost coroutine of a suspended task, which is rarely the one that is
    # stuck.
    innermost: FrameType | None = None
    frame: FrameType | None
    while awaitable is not None:
        # A coroutine, or the generator that an `__await__` is. Futures show no more.
        frame = getattr(awaitable, "cr_frame", getattr(awaitable, "gi_frame", None))
        if frame is not None and not frame.f_code.co_filename.startswith(_ASYNCIO):
            innermost = frame
        awaitable = getattr(awaitable, "cr_await", getattr(awaitable, "gi_yieldfrom", None))
    return innermost
