"""The private names of asyncio that the harness touches, each with its reason.

`tests/harness/test_asyncio_internals.py` checks them on every supported Python.
"""

from __future__ import annotations

import asyncio
from asyncio import tasks as asyncio_tasks
from typing import Any

__all__ = ["cancel_all_tasks", "give_up_task", "needs_asyncgen_shutdown", "needs_executor_shutdown"]


def cancel_all_tasks(loop: asyncio.AbstractEventLoop, patience: float) -> set[asyncio.Task[Any]]:
    """Cancel every task of a loop and wait for their end, as `asyncio.run` does, but not for ever.

    A task that ignores its cancellation would hang the run: it is given up.

    Args:
        loop: the loop; must be neither running nor closed.
        patience: how long to wait, in seconds of the loop's clock.

    Returns:
        The tasks that go on.
    """
    cancelled = asyncio.all_tasks(loop)
    if not cancelled:
        return set()
    for task in cancelled:
        task.cancel()
    loop.run_until_complete(asyncio.wait(cancelled, timeout=patience))
    stubborn: set[asyncio.Task[Any]] = set()
    for task in cancelled:
        if not task.done():
            stubborn.add(task)
            give_up_task(task)
        elif not task.cancelled() and (error := task.exception()) is not None:
            loop.call_exception_handler(
                {
                    "message": "unhandled exception while the loop of a test was closed",
                    "exception": error,
                    "task": task,
                }
            )
    return stubborn


def give_up_task(task: asyncio.Task[Any]) -> None:
    """Let a task that cannot be ended go without a word.

    It is taken off asyncio's own list (`_unregister_task`), where whoever closes the loop would find it again, and does
    not complain when it is destroyed (`_log_destroy_pending`); both exist on 3.11 to 3.15.
    """
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    asyncio_tasks._unregister_task(task)


def needs_asyncgen_shutdown(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether a loop has live async generators; yes for a loop that does not say (uvloop)."""
    return bool(getattr(loop, "_asyncgens", True))


def needs_executor_shutdown(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether a loop made its default executor; yes for a loop that does not say (uvloop)."""
    return getattr(loop, "_default_executor", loop) is not None
