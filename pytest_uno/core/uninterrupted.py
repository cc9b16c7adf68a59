"""Awaiting something to its end although the waiting task is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["add_note_once", "await_uninterrupted"]

T = TypeVar("T")


def add_note_once(exc: BaseException, text: str) -> None:
    """Add a note to an exception unless it has it already."""
    if text not in getattr(exc, "__notes__", ()):
        exc.add_note(text)


async def await_uninterrupted(coro: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine to its end, then deliver a cancellation that arrived meanwhile.

    `asyncio.shield` is not enough: it protects the inner task and lets the caller go on while that still
    runs.

    Args:
        coro: what must not be interrupted; it runs in a task of its own, in a copy of the caller's context.

    Returns:
        What the coroutine returned.

    Raises:
        asyncio.CancelledError: the calling task was cancelled while it waited; the coroutine has ended. If it
        failed,
            the failure is a note on this error and goes to the loop's exception handler.
        BaseException: what the coroutine raised, if the caller was not cancelled.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(coro)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is None:
        return task.result()
    try:
        if not task.cancelled() and (failure := task.exception()) is not None:
            add_note_once(cancelled, f"while waiting for cleanup that failed: {failure!r}")
            loop.call_exception_handler(
                {
                    "message": "cleanup failed while its task was being cancelled",
                    "exception": failure,
                    "task": task,
                }
            )
        raise cancelled
    finally:
        cancelled = None  # the frame would keep the exception, which keeps the frame
