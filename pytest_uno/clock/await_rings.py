"""Tasks that await each other in a ring, and how to cancel them.

`Task.cancel` passes the cancellation on to what the task awaits: around a ring it recurses until Python gives up, in
plain asyncio as well. So one task of each ring is woken with a cancellation that nothing else has asked for, and what
follows from that unwinds the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from pytest_uno.clock.asyncio_internals import callback_entries, gathered, waiter_of

__all__ = ["cancel_one_of_each_ring", "leads_to"]


def cancel_one_of_each_ring(tasks: Iterable[asyncio.Task[Any]], message: str) -> list[asyncio.Task[Any]]:
    """Cancel as many tasks as it takes that none await each other in a ring any more.

    Must be called in the loop's thread while no task runs. The cancellation arrives when the loop runs on.

    Args:
        tasks: all unfinished tasks of a loop.
        message: the message of the cancellation.

    Returns:
        The tasks that will be cancelled.
    """
    chosen = _one_of_each_ring(sorted(tasks, key=lambda task: task.get_name()))
    for task in chosen:
        _wake_cancelled(task, message)
    return chosen


def leads_to(future: asyncio.Future[Any], tasks: Collection[asyncio.Task[Any]]) -> bool:
    """Say whether a cancellation of a future would be passed on to one of some tasks.

    Args:
        future: the future or task.
        tasks: the tasks; the future may be one of them.
    """
    seen: set[asyncio.Future[Any]] = set()
    left = [future] if tasks else []
    while left:
        current = left.pop()
        if current in tasks:
            return True
        if current not in seen:
            seen.add(current)
            left += _passes_on_to(current)
    return False


def _passes_on_to(future: asyncio.Future[Any]) -> list[asyncio.Future[Any]]:
    """Return the futures that a future's `cancel` cancels."""
    if isinstance(future, asyncio.Task):
        waiter = waiter_of(future)
        return [] if waiter is None else [waiter]
    return gathered(future) or []


def _one_of_each_ring(tasks: list[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    chosen: list[asyncio.Task[Any]] = []
    finished: set[asyncio.Future[Any]] = set()
    for task in tasks:
        # Depth first: what leads back into the path closes a ring. Not recursive, for rings of any length.
        path: dict[asyncio.Future[Any], Iterator[asyncio.Future[Any]]] = {}
        if task not in finished:
            path[task] = iter(_passes_on_to(task))
        while path:
            current = next(reversed(path))
            following = next(path[current], None)
            if following is None:
                del path[current]
                finished.add(current)
            elif following in path:
                while not isinstance(current, asyncio.Task):  # the task that awaits the `gather`
                    del path[current]
                    current = next(reversed(path))
                del path[current]
                finished.add(current)
                chosen.append(current)
            elif following not in finished:
                path[following] = iter(_passes_on_to(following))
    return chosen


def _wake_cancelled(task: asyncio.Task[Any], message: str) -> None:
    awaited = waiter_of(task)
    assert awaited is not None, "it is part of a ring"
    entries = callback_entries(awaited)
    for wake_up, context in [entry for entry in entries if getattr(entry[0], "__self__", None) is task]:
        awaited.remove_done_callback(wake_up)
        if gathered(awaited) is not None:
            awaited.add_done_callback(_retrieve)
        loop = task.get_loop()
        cancelled: asyncio.Future[None] = asyncio.Future(loop=loop)
        cancelled.cancel(message)
        loop.call_soon(wake_up, cancelled, context=context)


def _retrieve(gathering: asyncio.Future[Any]) -> object:
    """Take the error of a `gather` that nobody awaits any more: else asyncio reports it."""
    return gathering.cancelled() or gathering.exception()
