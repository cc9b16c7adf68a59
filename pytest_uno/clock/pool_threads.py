"""Threads of executors: do they work on what somebody awaits, or on what will call somebody back?

Work that is awaited is known by its future (`outside_futures`), in the loop that awaits it. What was given to an
executor with `submit` alone ends in a callback of the user's, and only its thread tells that it is under way.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from concurrent.futures import thread as pools
from typing import Any

__all__ = ["all_rest", "is_pool_thread", "works_unawaited"]

# The private names of `concurrent.futures`, as they are from 3.11 on.
_POOLS: Any = pools
_WORKER = _POOLS._worker
_WORKER_CODE = _WORKER.__code__
_RUN_CODE = _POOLS._WorkItem.run.__code__
_QUEUES = _POOLS._threads_queues


def is_pool_thread(thread: threading.Thread) -> bool:
    """Say whether a thread belongs to a `ThreadPoolExecutor`.

    Args:
        thread: a thread that runs.
    """
    return getattr(thread, "_target", None) is _WORKER


def all_rest(threads: Iterable[threading.Thread]) -> bool:
    """Say, cheaply, whether all of these threads of pools wait for work.

    Must be called in another thread.

    Args:
        threads: threads of pools.
    """
    # Frames must not be kept in a variable: among them is that of this very call.
    codes = {
        identifier: frame.f_code
        for identifier, frame in sys._current_frames().items()  # pyright: ignore[reportPrivateUsage]
    }
    return all(codes.get(thread.ident or 0) is _WORKER_CODE and not _has_queued(thread) for thread in threads)


def works_unawaited(thread: threading.Thread) -> bool:
    """Say whether a pool's thread works on something that no event loop awaits.

    Must be called in another thread.

    Args:
        thread: a thread of a pool.
    """
    frame = sys._current_frames().get(thread.ident or 0)  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        if frame.f_code is _RUN_CODE:
            future = getattr(frame.f_locals.get("self"), "future", None)
            return future is not None and not _is_awaited(future)
        if frame.f_code is _WORKER_CODE:
            return _has_queued(thread)
        frame = frame.f_back
    return False


def _has_queued(thread: threading.Thread) -> bool:
    """Say whether a thread that seems to rest was woken and has not run yet: its work still stands in the queue."""
    # Not read from the frame, which would keep the last work for as long as the thread rests.
    queue = _QUEUES.get(thread)
    return queue is not None and queue.qsize() > 0


def _is_awaited(future: Any) -> bool:
    callbacks = list(future._done_callbacks)
    return any(getattr(callback, "__module__", None) == "asyncio.futures" for callback in callbacks)
