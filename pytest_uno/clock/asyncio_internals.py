"""Every private attribute of asyncio that the clock touches, each with its reason and its versions.

Nothing else in `pytest_uno.clock` may touch an underscore attribute of an asyncio object. The functions never
raise: what is missing (a future type of another library, a later Python) reads as "unknown".
`tests/clock/test_asyncio_internals.py` checks each of them on every supported Python.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import types
from collections.abc import Callable, Iterable
from typing import Any, cast

__all__ = [
    "active_threads",
    "below_tls",
    "callback_entries",
    "callbacks_of",
    "cell_value",
    "condition_lock",
    "context_generator",
    "creation_site",
    "exit_callbacks",
    "gathered",
    "group_host",
    "group_tasks",
    "queue_debt",
    "queue_waiters",
    "results_queue",
    "shielded",
    "transport_of",
    "waiter_of",
]


def waiter_of(task: asyncio.Task[Any]) -> asyncio.Future[Any] | None:
    """Return the future that a task waits for; None when it runs, is ready to run or has finished.

    `_fut_waiter` (3.11 to 3.15, C and Python): asyncio has no public way to ask before 3.14, and there only
    in the other direction.

    Args:
        task: the task.
    """
    return cast("asyncio.Future[Any] | None", getattr(task, "_fut_waiter", None))


def callbacks_of(future: object) -> list[Callable[..., object]]:
    """Return the callbacks of a future.

    `_callbacks` (3.11 to 3.15): a list of (callback, context), None when there are none; in the C
    implementation a fresh list. The callbacks are the only trace of who waits for a future by way of
    `gather`, `shield` or `wait`.

    Args:
        future: the future or task.
    """
    return [callback for callback, _ in callback_entries(future)]


def callback_entries(future: object) -> list[tuple[Callable[..., object], contextvars.Context]]:
    """Return the callbacks of a future, each with its context; see `callbacks_of`.

    Args:
        future: the future or task.
    """
    return list(getattr(future, "_callbacks", None) or ())


def gathered(future: object) -> list[asyncio.Future[Any]] | None:
    """Return what a `gather` collects; None when the future is none of a `gather`.

    `_GatheringFuture._children` (3.11 to 3.15).

    Args:
        future: the future that a task waits for.
    """
    if type(future).__name__ != "_GatheringFuture":
        return None
    return list(getattr(future, "_children", ()))


def shielded(callback: object) -> asyncio.Future[Any] | None:
    """Return what a `shield` protects, from a callback of the outer future; None when there is no `shield`.

    The variable `inner` of the closure of `shield.<locals>._outer_done_callback` (3.11 to 3.15).

    Args:
        callback: a done callback of the future that a task waits for.
    """
    if not isinstance(callback, types.FunctionType):
        return None
    if (callback.__module__, callback.__name__) != ("asyncio.tasks", "_outer_done_callback"):
        return None
    variables = dict(zip(callback.__code__.co_freevars, callback.__closure__ or (), strict=True))
    return cast("asyncio.Future[Any]", cell_value(variables["inner"]))


def group_tasks(group: asyncio.TaskGroup) -> list[asyncio.Task[Any]]:
    """Return the unfinished tasks of a group.

    `TaskGroup._tasks` (3.11 to 3.15), a set that the loop's thread changes: it is copied in one step of the
    interpreter.

    Args:
        group: the group.
    """
    return list(cast("Iterable[asyncio.Task[Any]]", getattr(group, "_tasks", ())))


def group_host(group: asyncio.TaskGroup) -> asyncio.Task[Any] | None:
    """Return the task that entered a group.

    `TaskGroup._parent_task` (3.11 to 3.15).

    Args:
        group: the group.
    """
    return cast("asyncio.Task[Any] | None", getattr(group, "_parent_task", None))


def condition_lock(condition: asyncio.Condition) -> object:
    """Return the lock of a condition.

    `Condition._lock` (3.11 to 3.15).

    Args:
        condition: the condition.
    """
    return cast("object", getattr(condition, "_lock", None))


def queue_waiters(queue: asyncio.Queue[Any]) -> list[asyncio.Future[Any]]:
    """Return the futures of the tasks that wait in `Queue.get`.

    `Queue._getters` (3.11 to 3.15). `as_completed` waits in a queue of its own.

    Args:
        queue: the queue.
    """
    return list(cast("Iterable[asyncio.Future[Any]]", getattr(queue, "_getters", ())))


def queue_debt(queue: asyncio.Queue[Any]) -> int | None:
    """Return how many `task_done()` a queue still waits for.

    `Queue._unfinished_tasks` (3.11 to 3.15).

    Args:
        queue: the queue.
    """
    return cast("int | None", getattr(queue, "_unfinished_tasks", None))


def results_queue(iterator: object) -> asyncio.Queue[Any] | None:
    """Return the queue of finished futures inside of an `as_completed` iterator (3.13 and newer).

    `_AsCompletedIterator._done`; older versions have the queue in a closure.

    Args:
        iterator: the object that a callback is bound to.
    """
    if type(iterator).__name__ != "_AsCompletedIterator":
        return None
    return cast("asyncio.Queue[Any] | None", getattr(iterator, "_done", None))


def transport_of(reader: asyncio.StreamReader) -> object:
    """Return the transport that a stream reads from (`StreamReader._transport`, 3.11 to 3.15); None without one.

    Args:
        reader: the stream's reader.
    """
    return cast("Any", reader)._transport


WAIT_FOR_DATA: types.CodeType = cast("Any", asyncio.StreamReader)._wait_for_data.__code__
"""The code in which a stream's reader waits for data (`StreamReader._wait_for_data`, 3.11 to 3.15)."""


def data_waiter_of(reader: asyncio.StreamReader) -> asyncio.Future[Any] | None:
    """Return what a stream's reader waits for (`StreamReader._waiter`, 3.11 to 3.15); None when it does not.

    Args:
        reader: the stream's reader.
    """
    return cast("asyncio.Future[Any] | None", getattr(reader, "_waiter", None))


def below_tls(transport: object) -> object:
    """Return the transport that reads the socket, below TLS if there is any; what has no TLS is returned as it is.

    `_SSLProtocolTransport._ssl_protocol` and `SSLProtocol._transport` (3.11 to 3.15).

    Args:
        transport: of a stream.
    """
    while (tls := getattr(transport, "_ssl_protocol", None)) is not None:
        transport = getattr(tls, "_transport", None)
    return transport


def creation_site(future: object) -> tuple[str, int] | None:
    """Return the file and line outside of asyncio that made a future; None without asyncio's debug mode.

    `_source_traceback` (3.11 to 3.15), recorded in debug mode only.

    Args:
        future: the future.
    """
    here = os.path.dirname(asyncio.__file__)
    for frame in reversed(getattr(future, "_source_traceback", None) or ()):
        if os.path.dirname(frame.filename) != here:
            return frame.filename, frame.lineno
    return None


def exit_callbacks(stack: object) -> list[object]:
    """Return what an exit stack will call.

    `AsyncExitStack._exit_callbacks` (3.11 to 3.15): a deque of (is synchronous, callback). Not asyncio's, but
    a lock that was entered on a stack is held all the same.

    Args:
        stack: the stack.
    """
    return [entry[1] for entry in list(getattr(stack, "_exit_callbacks", ()))]


def context_generator(manager: object) -> types.AsyncGeneratorType[Any, Any] | None:
    """Return the generator of an `@asynccontextmanager`; None for every other object.

    `_AsyncGeneratorContextManager.gen` (3.11 to 3.15), of contextlib.

    Args:
        manager: a context manager.
    """
    generator = (
        vars(manager).get("gen") if type(manager).__name__ == "_AsyncGeneratorContextManager" else None
    )
    return cast("types.AsyncGeneratorType[Any, Any] | None", generator)


def cell_value(cell: types.CellType) -> object:
    """Return what a variable of a closure holds; None while it is empty.

    Args:
        cell: the cell.
    """
    try:
        return cell.cell_contents
    except ValueError:
        return None


def active_threads() -> dict[int, threading.Thread]:
    """Return the running threads by identifier: the live dictionary, only to be read.

    `threading._active` (3.11 to 3.15): its length is asked at each jump of the clock; `threading.enumerate` takes a
    lock and builds a list.
    """
    return cast("dict[int, threading.Thread]", vars(threading)["_active"])
