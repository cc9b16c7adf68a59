"""Threads of executors: do they work on what somebody awaits, or on what will call somebody back?

Work that is awaited is known by its future (`outside_futures`), in the loop that awaits it. What was given to an
executor with `submit` alone ends in a callback of the user's, and only its thread tells that it is under way.
"""

from __future__ import annotations

import threading
import types
from collections.abc import Collection
from concurrent.futures import thread as pools
from typing import Any

from pytest_uno.core.thread_frames import current_frames

__all__ = ["PoolThread", "all_rest", "is_pool_thread"]

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


class PoolThread:
    """A thread of a pool; must be asked in another thread.

    Args:
        thread: a thread for which `is_pool_thread` is true.
    """

    __slots__ = ("_executor", "_settled", "thread")

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread
        arguments = getattr(thread, "_args", ())
        self._executor: Any = arguments[0] if arguments else lambda: None
        self._settled = 0

    def works_unawaited(self) -> bool:
        """Say whether it works on something that no event loop awaits."""
        frame = current_frames().get(self.thread.ident or 0)
        while frame is not None:
            if frame.f_code is _RUN_CODE:
                future = getattr(frame.f_locals.get("self"), "future", None)
                return future is not None and not _is_awaited(future)
            if frame.f_code is _WORKER_CODE:
                return self.has_queued_work
            frame = frame.f_back
        return False

    @property
    def has_queued_work(self) -> bool:
        """Work stands in the queue: who seems to rest was woken and has not run yet."""
        # Not read from the frame, which would keep the last work for as long as the thread rests.
        queue = _QUEUES.get(self.thread)
        return queue is not None and queue.qsize() > 0

    @property
    def may_wake_up(self) -> bool:
        """It may hold work that it has taken from the queue and not begun: fewer threads wait than there are.

        The executor's count is right when all wait for the first time after work, but may stay too low for good when
        one thread did the work of two. So `settle` is called when it does not change for a moment.
        """
        busy = self._count_busy()
        if busy == 0:
            self._settled = 0
        return busy != self._settled and _innermost_codes().get(self.thread.ident or 0) is _WORKER_CODE

    def settle(self) -> None:
        """Take the executor's present count for one without work."""
        self._settled = self._count_busy()

    def _count_busy(self) -> int:
        executor = self._executor()
        return 0 if executor is None else max(len(executor._threads) - executor._idle_semaphore._value, 0)


def all_rest(threads: Collection[PoolThread]) -> bool:
    """Say, cheaply, whether all of these threads wait for work.

    Must be called in another thread.

    Args:
        threads: threads of pools.
    """
    codes = _innermost_codes()
    return all(
        codes.get(one.thread.ident or 0) is _WORKER_CODE and not one.has_queued_work and not one.may_wake_up
        for one in threads
    )


def _innermost_codes() -> dict[int, types.CodeType]:
    # Frames must not be kept in a variable: among them is that of this very call.
    return {identifier: frame.f_code for identifier, frame in current_frames().items()}


def _is_awaited(future: Any) -> bool:
    callbacks = list(future._done_callbacks)
    return any(getattr(callback, "__module__", None) == "asyncio.futures" for callback in callbacks)
