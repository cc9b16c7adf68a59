"""Every private attribute of asyncio that the core touches, each with its reason and its versions.

Nothing else in `pytest_uno.core` may read or write an underscore attribute of an asyncio object.
`tests/core/test_asyncio_internals.py` checks each of them on every supported Python.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

__all__ = ["FAILED_GROUP_CANCELS_HOST", "GROUP_HAS_CANCEL", "peek_exception"]

GROUP_HAS_CANCEL = hasattr(asyncio.TaskGroup, "cancel")
"""`asyncio.TaskGroup.cancel` exists (3.15 and newer)."""

FAILED_GROUP_CANCELS_HOST = sys.version_info < (3, 13)
"""3.11 and 3.12: a group whose child fails while its host waits in `__aexit__` cancels the host and never takes the
cancellation back (python/cpython#127750), so that `Task.cancelling()` stays too high for the rest of the task."""


def peek_exception(future: asyncio.Future[Any]) -> BaseException | None:
    """Return the exception of a finished future that nobody has looked at yet, without looking at it.

    asyncio has no public way to ask: `Future.exception()` itself counts as looking. `_log_traceback` and `_exception`
    exist on 3.11 to 3.15, in the C and the Python implementation alike.

    Args:
        future: a future or task; may be unfinished or cancelled.

    Returns:
        The exception, or None when there is none or it was already retrieved.
    """
    try:
        return future._exception if future._log_traceback else None
    except AttributeError:  # a future type of another library: only its public face is known
        return None if not future.done() or future.cancelled() else future.exception()
