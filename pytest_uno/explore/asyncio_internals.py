"""Every private name of asyncio that the explorer relies on beside those of the clock, each with its reason.

Nothing else in `pytest_uno.explore` may touch an underscore name of asyncio, except that `schedule_loop` overrides
methods of its base class. `tests/explore/test_asyncio_internals.py` checks each on every supported Python.
"""

from __future__ import annotations

import asyncio
import asyncio.futures
import asyncio.tasks
import threading
import types
from asyncio import events
from collections.abc import Callable, Generator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

from pytest_uno.clock.asyncio_internals import data_waiter_of

__all__ = [
    "SLEEP_CALLBACK",
    "ThreadHandle",
    "count_waiters",
    "default_executor_of",
    "exception_of",
    "has_generators",
    "is_deadline",
    "is_step_of",
    "may_be_step",
    "must_cancel",
    "outside_running_loop",
    "reading_future",
    "threads_of",
]

_futures: Any = asyncio.futures
_tasks: Any = asyncio.tasks
_events: Any = events
_Timeout: Any = asyncio.Timeout

SLEEP_CALLBACK: Callable[..., object] = _futures._set_result_unless_cancelled
"""What the timer of `asyncio.sleep` calls (3.11 to 3.15)."""

ThreadHandle: type[events.Handle] = getattr(events, "_ThreadSafeHandle", events.Handle)
"""The handle of `call_soon_threadsafe` (`_ThreadSafeHandle` from 3.14 on, whose `cancel` takes a lock)."""

_STEP = "TaskStepMethWrapper"
"""The type of the callback by which a task in C takes its next step (3.11 to 3.15)."""

_DEADLINES: tuple[object, ...] = (
    _Timeout._on_timeout,
    _tasks._release_waiter,
    _tasks._AsCompletedIterator._handle_timeout if hasattr(_tasks, "_AsCompletedIterator") else None,
)
"""What the timers of `timeout`, `wait_for`, `wait` and, from 3.13 on, `as_completed` call (3.11 to 3.15)."""


def may_be_step(kind: Any) -> bool:
    """Say, cheaply, whether a callback of a type can be the step of a task: only then it is worth a closer look.

    Args:
        kind: the callback's type.
    """
    return kind is types.MethodType or getattr(kind, "__name__", "") == _STEP


def is_step_of(callback: object, task: object) -> bool:
    """Say whether a callback is the next step of a task; scheduled by the running task itself it is a `sleep(0)`.

    Args:
        callback: what was given to `call_soon`.
        task: the running task, or None.
    """
    if task is None or getattr(callback, "__self__", None) is not task:
        return False
    return type(callback).__name__ == _STEP or getattr(callback, "__name__", "") == "__step"


def must_cancel(task: object) -> bool:
    """Say whether a task is going to be cancelled at its next step (`_must_cancel`, 3.11 to 3.15).

    Args:
        task: a task.
    """
    return bool(getattr(task, "_must_cancel", False))


def is_deadline(handle: events.Handle) -> bool:
    """Say whether a timer is that of a time-out.

    Args:
        handle: the timer's handle.
    """
    callback: Any = getattr(handle, "_callback", None)
    callback = getattr(callback, "__func__", callback)
    return callback is not None and (
        callback in _DEADLINES or getattr(callback, "__qualname__", "") in _FOREIGN_DEADLINES
    )


_FOREIGN_DEADLINES = {"CancelScope._timeout", "as_completed.<locals>._on_timeout"}
"""The same of anyio, and of `as_completed` before 3.13."""


def exception_of(task: asyncio.Task[Any]) -> BaseException | None:
    """Return what a finished task has raised, without that asyncio takes it for retrieved.

    `_exception` (3.11 to 3.15).

    Args:
        task: a finished task that was not cancelled.
    """
    return cast("BaseException | None", getattr(task, "_exception", None))


def reading_future(transport: object) -> object:
    """Return what a reader of a stream waits for, from the transport that feeds it; None where nobody reads.

    `_protocol` of transports, and `_stream_reader` of `StreamReaderProtocol` (3.11 to 3.15; a weak reference gives it).

    Args:
        transport: a transport.
    """
    reader = getattr(getattr(transport, "_protocol", None), "_stream_reader", None)
    return None if reader is None else data_waiter_of(reader)


def count_waiters(owner: object) -> int:
    """Count the tasks that wait for an event or a condition (`_waiters`, 3.11 to 3.15).

    Args:
        owner: an `asyncio.Event` or `asyncio.Condition`.
    """
    return sum(not waiter.done() for waiter in getattr(owner, "_waiters", ()))


def has_generators(loop: asyncio.AbstractEventLoop) -> bool:
    """Say whether async generators were begun on a loop and not finished (`_asyncgens`, 3.11 to 3.15).

    Args:
        loop: the loop.
    """
    return bool(getattr(loop, "_asyncgens", True))


def default_executor_of(loop: asyncio.AbstractEventLoop) -> Executor | None:
    """Return the default executor of a loop (`_default_executor`, 3.11 to 3.15); None when it was not used.

    Args:
        loop: the loop.
    """
    return cast("Executor | None", getattr(loop, "_default_executor", None))


def threads_of(executor: ThreadPoolExecutor) -> list[threading.Thread]:
    """Return the threads of a pool (`_threads`, 3.11 to 3.15).

    Args:
        executor: the pool.
    """
    return list(cast("Any", executor)._threads)


@contextmanager
def outside_running_loop() -> Generator[None]:
    """Let this thread run another loop, although one is running here, for the length of a block.

    The running loop stands still meanwhile. `events._set_running_loop` (3.11 to 3.15) is what forbids a second one,
    and from 3.12 on the running task has to step back (`tasks._swap_current_task`), which a thread has one of.
    """
    running = _events._get_running_loop()
    if running is None:
        yield
        return
    swap: Callable[..., Any] | None = getattr(asyncio.tasks, "_swap_current_task", None)
    task = swap(running, None) if swap is not None else None
    _events._set_running_loop(None)
    try:
        yield
    finally:
        _events._set_running_loop(running)
        if swap is not None:  # pragma: no branch - 3.11 has none
            swap(running, task)
