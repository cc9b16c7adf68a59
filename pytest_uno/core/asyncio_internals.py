"""Every private attribute of asyncio that the core touches, each with its reason and its versions.

Nothing else in `pytest_uno.core` may read or write an underscore attribute of an asyncio object.
`tests/core/test_asyncio_internals.py` checks each of them on every supported Python.

| attribute | why | versions |
|---|---|---|
| `Future._log_traceback`, `Future._exception` | to ask for an exception without marking it as seen | all |
| `TaskGroup._abort()` | to cancel a group's tasks, once, so that the group knows of it | all |
| `TaskGroup._aborting` | to know that it has done so | all |
| `TaskGroup._parent_cancel_requested` | to find a cancellation that is never taken back | 3.11, 3.12 |
| `Task._must_cancel` | to tell a pending cancellation from one that was left behind | 3.11, 3.12 |
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

__all__ = [
    "FAILED_GROUP_CANCELS_HOST",
    "GROUP_HAS_CANCEL",
    "abort_group",
    "has_pending_cancellation",
    "is_group_aborting",
    "is_host_cancelled_by_group",
    "peek_exception",
]

GROUP_HAS_CANCEL = hasattr(asyncio.TaskGroup, "cancel")
"""`asyncio.TaskGroup.cancel` exists (3.15 and newer)."""

FAILED_GROUP_CANCELS_HOST = sys.version_info < (3, 13)
"""3.11 and 3.12: a group whose child fails while its host waits in `__aexit__` cancels the host and never
takes the cancellation back (python/cpython#127750), so that `Task.cancelling()` stays too high for the rest
of the task. `Task.uncancel()` does not withdraw a cancellation that is not delivered yet, either; 3.13
does."""


def peek_exception(future: asyncio.Future[Any]) -> BaseException | None:
    """Return the exception of a finished future that nobody has looked at yet, without looking at it.

    asyncio has no public way to ask: `Future.exception()` itself counts as looking. `_log_traceback` and
    `_exception` exist on 3.11 to 3.15, in the C and the Python implementation alike.

    Args:
        future: a future or task; may be unfinished or cancelled.

    Returns:
        The exception, or None when there is none or it was already retrieved.
    """
    inside: Any = future
    try:
        exception: BaseException | None = inside._exception if inside._log_traceback else None
    except AttributeError:  # a future type of another library: only its public face is known
        return None if not future.done() or future.cancelled() else future.exception()
    return exception


def abort_group(group: asyncio.TaskGroup) -> None:
    """Cancel the unfinished tasks of a group, and make it refuse new ones.

    `_abort` exists on 3.11 to 3.15. Cancelling the tasks from outside instead would leave the group unaware:
    it would cancel them a second time when its host is cancelled, and break into their clean-up.

    Args:
        group: a group that was entered.
    """
    inside: Any = group
    inside._abort()


def is_group_aborting(group: asyncio.TaskGroup) -> bool:
    """Tell whether a group has cancelled its tasks: after a failure, or because its host was cancelled.

    `_aborting` exists on 3.11 to 3.15.

    Args:
        group: a group.
    """
    inside: Any = group
    return bool(inside._aborting)


def is_host_cancelled_by_group(group: asyncio.TaskGroup) -> bool:
    """Tell whether a group has cancelled its host because a task failed.

    Meant for 3.11 and 3.12, where such a cancellation may never be taken back; see
    `FAILED_GROUP_CANCELS_HOST`. `_parent_cancel_requested` exists on 3.11 to 3.15.

    Args:
        group: a group that was entered.
    """
    inside: Any = group
    return bool(inside._parent_cancel_requested)


def has_pending_cancellation(task: asyncio.Task[Any]) -> bool:
    """Tell whether `task.cancel()` was called on a task that has not run since.

    Meant for 3.11 and 3.12, where `Task.cancelling()` alone may be stale; see `FAILED_GROUP_CANCELS_HOST`.
    `_must_cancel` exists on 3.11 to 3.15. It is False while the cancellation is with the future that the task
    waits for.

    Args:
        task: a task.
    """
    inside: Any = task
    return bool(inside._must_cancel)
