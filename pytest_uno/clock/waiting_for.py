"""Recognise what a suspended task waits for.

Two sources: the innermost frames, when they are asyncio's own (`Lock.acquire`, `Queue.get`,
`TaskGroup.__aexit__`: their first local is the lock, the queue, the group), and the future the task waits for
(another task, a `gather`, a `shield`, work in a thread). The frames come first: they name the operation, and
the future under it is often a bare one.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import os
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from pytest_uno.clock import asyncio_internals
from pytest_uno.clock.await_chain import Link, await_links
from pytest_uno.clock.awaiters import captured, is_future, is_task

__all__ = ["Waiting", "quote_names", "recognise", "seconds"]

_ASYNCIO = os.path.dirname(asyncio.__file__)
_CLOCK = os.path.join(os.path.dirname(__file__), "virtual_clock.py")

_NAMED = 20
"""Most tasks that one line names."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one task waits for; lives only while a graph is captured.

    Attributes:
        what: the description.
        futures: the unfinished futures and tasks it depends on.
        any_of: one of them is enough.
        held: the lock or semaphore that others may hold.
        awaited: the event, condition, queue or future that another task has to act on.
    """

    what: str
    futures: tuple[asyncio.Future[Any], ...] = ()
    any_of: bool = False
    held: object = None
    awaited: object = None


def recognise(task: asyncio.Task[Any]) -> Waiting:
    """Say what a suspended task waits for.

    Args:
        task: a task that neither runs nor has finished.
    """
    waiter = asyncio_internals.waiter_of(task)
    if waiter is None:
        return Waiting("nothing: ready to run")
    links = await_links(task.get_coro())
    return _from_clock(links) or _from_frames(links) or _from_future(waiter, links)


def quote_names(futures: Iterable[asyncio.Future[Any]]) -> str:
    """List tasks by name, in order; futures that are no tasks come last. Of very many, the first are named.

    Args:
        futures: tasks and other futures.
    """
    names = [repr(f.get_name()) if is_task(f) else "a future" for f in futures]
    names.sort(key=lambda name: (name == "a future", name))
    if len(names) > _NAMED:
        names[_NAMED:] = [f"{len(names) - _NAMED} more"]
    return ", ".join(names)


def seconds(duration: float) -> str:
    """Write a duration in seconds, to the millisecond.

    Args:
        duration: seconds.
    """
    return f"{round(duration, 3):g} s"


def _from_clock(links: list[Link]) -> Waiting | None:
    """Describe the ways to wait for the clock, which has its own list of who does."""
    if not links or links[-1].code.co_filename != _CLOCK:
        return None
    if links[-1].code.co_name == "settle":
        return Waiting("uno_clock.settle()")
    target = _local(links[-1], tuple)
    moment = cast("tuple[float, object]", target)[0] if target else None
    return Waiting("uno_clock.advance()" + ("" if moment is None else f" until {moment:.9g} s"))


def _from_frames(links: list[Link]) -> Waiting | None:
    """Describe by asyncio's own innermost frames: the outermost known one of them names the operation."""
    inner: list[Link] = []
    for link in reversed(links):
        if not _is_asyncio(link):
            break
        inner.insert(0, link)
    if inner and inner[-1].code.co_qualname == "Lock.acquire":
        # Also the last step of `Condition.wait`: notified, and on its way back into the lock.
        inner = inner[-1:]
    for link in inner:
        name = link.code.co_qualname
        if name in _OPERATIONS:
            kind, describe = _OPERATIONS[name]
            subject = _local(link, kind)
            if subject is not None:
                return describe(subject, link)
        if name in _STEPS:
            return Waiting(f"{_STEPS[name]} ({name})")
        if name in _AS_COMPLETED:
            return Waiting("as_completed: the next of its tasks", any_of=True)
    return None


def _from_future(waiter: asyncio.Future[Any], links: list[Link]) -> Waiting:
    children = asyncio_internals.gathered(waiter)
    if children is not None:
        return _several("gather of", children)
    if isinstance(waiter, asyncio.Task):
        return Waiting(f"task {waiter.get_name()!r}", (waiter,))
    for callback in asyncio_internals.callbacks_of(waiter):
        inner = asyncio_internals.shielded(callback)
        if inner is not None:
            return Waiting(f"shield of {_named(inner)}", (inner,))
        if any(isinstance(item, concurrent.futures.Future) for item in captured(callback)):
            return Waiting("work in an executor or another thread")
    within = links[-1].code.co_qualname if links and _is_asyncio(links[-1]) else None
    if within == "wait_for":
        # 3.11 wraps what it waits for into a task; newer versions just await it.
        for item in gc.get_referents(links[-1].awaitable):
            if is_future(item) and item is not waiter:
                return Waiting(f"wait_for of {_named(item)}", (item,))
    kind = type(waiter).__name__
    if site := asyncio_internals.creation_site(waiter):
        return Waiting(f"{kind} created at {site[0]}:{site[1]}", awaited=waiter)
    if within is not None:
        return Waiting(f"{kind} within asyncio ({within})", awaited=waiter)
    return Waiting(kind, awaited=waiter)


def _is_asyncio(link: Link) -> bool:
    return os.path.dirname(link.code.co_filename) == _ASYNCIO


def _named(future: asyncio.Future[Any]) -> str:
    return f"task {future.get_name()!r}" if is_task(future) else "a future"


def _several(what: str, futures: Iterable[asyncio.Future[Any]], any_of: bool = False) -> Waiting:
    everything = list(futures)
    unfinished = tuple(future for future in everything if not future.done())
    count = f"{len(everything)} task{'' if len(everything) == 1 else 's'}"
    return Waiting(
        f"{what} {count} ({len(unfinished)} unfinished: {quote_names(unfinished)})", unfinished, any_of
    )


def _local(link: Link, kind: type[object]) -> object:
    """Return the first local of a frame that is of a kind; None when there is none."""
    for item in cast("list[object]", gc.get_referents(link.awaitable)):
        if issubclass(type(item), kind):
            return item
    return None


def _barrier(barrier: asyncio.Barrier, link: Link) -> Waiting:
    return Waiting(f"barrier: {barrier.n_waiting} of {barrier.parties} arrived", awaited=barrier)


def _queue_join(queue: asyncio.Queue[Any], link: Link) -> Waiting:
    debt = asyncio_internals.queue_debt(queue)
    return Waiting(f"queue.join(): {debt} task_done() missing, {queue.qsize()} queued", awaited=queue)


def _group(group: asyncio.TaskGroup, link: Link) -> Waiting:
    unfinished = tuple(asyncio_internals.group_tasks(group))
    return Waiting(f"TaskGroup (unfinished: {quote_names(unfinished)})", unfinished)


def _sleep(handle: asyncio.TimerHandle, link: Link) -> Waiting:
    loop = cast("asyncio.AbstractEventLoop", _local(link, asyncio.AbstractEventLoop))
    return Waiting(f"asyncio.sleep until +{seconds(handle.when() - loop.time())}")


def _wait(futures: set[asyncio.Future[Any]], link: Link) -> Waiting:
    # The condition is a variable of a closure: `_wait` shares it with its callbacks.
    cells = [item for item in gc.get_referents(link.awaitable) if isinstance(item, types.CellType)]
    if any(asyncio_internals.cell_value(cell) == asyncio.FIRST_COMPLETED for cell in cells):
        return _several("any of", futures, any_of=True)
    return _several("all of", futures)


_OPERATIONS: dict[str, tuple[type[object], Callable[[Any, Link], Waiting]]] = {
    "Lock.acquire": (asyncio.Lock, lambda lock, _: Waiting("lock", held=lock)),
    "Semaphore.acquire": (asyncio.Semaphore, lambda semaphore, _: Waiting("semaphore", held=semaphore)),
    "Event.wait": (asyncio.Event, lambda event, _: Waiting("event that is not set", awaited=event)),
    "Condition.wait": (asyncio.Condition, lambda it, _: Waiting("condition not yet notified", awaited=it)),
    "Barrier.wait": (asyncio.Barrier, _barrier),
    "Queue.get": (asyncio.Queue, lambda queue, _: Waiting("queue.get() of an empty queue", awaited=queue)),
    "Queue.put": (
        asyncio.Queue,
        lambda queue, _: Waiting(f"queue.put() into a full queue of {queue.maxsize}", awaited=queue),
    ),
    "Queue.join": (asyncio.Queue, _queue_join),
    "TaskGroup.__aexit__": (asyncio.TaskGroup, _group),
    "sleep": (asyncio.TimerHandle, _sleep),
    "_wait": (set, _wait),
}
"""By the qualified name of asyncio's coroutine: the kind of local to look for, and how to describe it."""

_AS_COMPLETED = {
    "as_completed.<locals>._wait_for_one",  # until 3.12
    "_AsCompletedIterator._wait_for_one",
}

_STEPS = {
    "BaseSelectorEventLoop.sock_accept": "socket: no connection yet",
    "BaseSelectorEventLoop.sock_connect": "socket: not connected yet",
    "BaseSelectorEventLoop.sock_recv": "socket: no data yet",
    "BaseSelectorEventLoop.sock_recv_into": "socket: no data yet",
    "BaseSelectorEventLoop.sock_recvfrom": "socket: no data yet",
    "BaseSelectorEventLoop.sock_recvfrom_into": "socket: no data yet",
    "BaseSelectorEventLoop.sock_sendall": "socket: the peer does not read",
    "BaseSelectorEventLoop.sock_sendto": "socket: the peer does not read",
    "Process.wait": "subprocess to exit",
    "Server.serve_forever": "server that serves forever",
    "Server.wait_closed": "server to be closed",
    "StreamReader.read": "stream: no data yet",
    "StreamReader.readexactly": "stream: no data yet",
    "StreamReader.readline": "stream: no data yet",
    "StreamReader.readuntil": "stream: no data yet",
    "StreamWriter.drain": "stream: the peer does not read",
    "StreamWriter.wait_closed": "stream to be closed",
}
"""By the qualified name of asyncio's coroutine: waits for something outside of the loop."""
