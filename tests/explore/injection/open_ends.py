"""Operations on plain asyncio whose cancellation leaves something running, open or held."""

from __future__ import annotations

import asyncio
from asyncio import sleep
from collections.abc import AsyncIterator
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

from tests.explore.injection.cancellation_case import Cancellation, World

__all__ = ["OPEN_ENDS"]


# c09: a child is left.
async def c09_setup() -> World:
    return SimpleNamespace()


async def c09_child() -> None:
    await sleep(0.05)


async def c09_buggy(_: World) -> None:
    task = asyncio.create_task(c09_child(), name="child")
    await sleep(0.001)
    task.cancel()
    await asyncio.wait([task])


async def c09_fixed(_: World) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(c09_child(), name="child")
        await sleep(0.001)
        task.cancel()


async def c09_check(_: World) -> None:
    left = [task for task in asyncio.all_tasks() if task.get_name() == "child" and not task.done()]
    assert not left, "orphan tasks"


# c10: an async generator that is left open holds the lock.
async def c10_setup() -> World:
    return SimpleNamespace(lock=asyncio.Lock(), keep=[])


async def c10_rows(w: World) -> AsyncIterator[int]:
    async with w.lock:
        for number in range(3):
            await sleep(0.001)
            yield number


async def c10_buggy(w: World) -> None:
    rows = c10_rows(w)
    w.keep.append(rows)
    async for _ in rows:
        await sleep(0.001)


async def c10_fixed(w: World) -> None:
    rows: Any = c10_rows(w)
    w.keep.append(rows)
    async with aclosing(rows):
        async for _ in rows:
            await sleep(0.001)


async def c10_check(w: World) -> None:
    assert not w.lock.locked(), "generator still holds the lock"


async def c10_teardown(w: World) -> None:
    for rows in w.keep:
        await rows.aclose()


# c11: cancelled inside of `__aenter__`, `__aexit__` does not run.
class Client:
    def __init__(self, w: World, *, is_buggy: bool) -> None:
        self.w, self.is_buggy = w, is_buggy

    async def __aenter__(self) -> None:
        self.w.open += 1
        try:
            await sleep(0.001)
        except BaseException:
            self.w.open -= not self.is_buggy
            raise

    async def __aexit__(self, *_: object) -> None:
        self.w.open -= 1


async def c11_setup() -> World:
    return SimpleNamespace(open=0)


async def c11_buggy(w: World) -> None:
    async with Client(w, is_buggy=True):
        await sleep(0.001)


async def c11_fixed(w: World) -> None:
    async with Client(w, is_buggy=False):
        await sleep(0.001)


async def c11_check(w: World) -> None:
    assert w.open == 0, "client left open"


# c12: a flag is stuck.
async def c12_setup() -> World:
    return SimpleNamespace(busy=False)


async def c12_buggy(w: World) -> None:
    w.busy = True
    await sleep(0.001)
    w.busy = False
    await sleep(0.001)


async def c12_fixed(w: World) -> None:
    w.busy = True
    try:
        await sleep(0.001)
    finally:
        w.busy = False
    await sleep(0.001)


async def c12_check(w: World) -> None:
    assert not w.busy, "busy flag stuck"


# c13: releases a lock that it has not acquired.
async def c13_setup() -> World:
    world = SimpleNamespace(lock=asyncio.Lock())

    async def hold() -> None:
        async with world.lock:
            for _ in range(4):
                await sleep(0.001)

    world.other = asyncio.create_task(hold(), name="other")
    await sleep(0)
    return world


async def c13_buggy(w: World) -> None:
    try:
        await w.lock.acquire()
        await sleep(0.001)
    finally:
        if w.lock.locked():
            w.lock.release()


async def c13_fixed(w: World) -> None:
    async with w.lock:
        await sleep(0.001)


async def c13_check(w: World) -> None:
    assert w.other.done() or w.lock.locked(), "released a lock held by another task"


async def c13_teardown(w: World) -> None:
    w.other.cancel()
    await asyncio.wait([w.other])


# c15: an item is taken, and never reported as done.
async def c15_setup() -> World:
    world = SimpleNamespace(q=asyncio.Queue())
    world.q.put_nowait(1)
    return world


async def c15_buggy(w: World) -> None:
    await w.q.get()
    await sleep(0.001)
    w.q.task_done()


async def c15_fixed(w: World) -> None:
    await w.q.get()
    try:
        await sleep(0.001)
    finally:
        w.q.task_done()


async def c15_check(w: World) -> None:
    assert w.q._unfinished_tasks == 0, "task_done missing"


OPEN_ENDS = (
    Cancellation("c09", c09_setup, c09_buggy, c09_fixed, c09_check),
    Cancellation("c10", c10_setup, c10_buggy, c10_fixed, c10_check, c10_teardown),
    Cancellation("c11", c11_setup, c11_buggy, c11_fixed, c11_check),
    Cancellation("c12", c12_setup, c12_buggy, c12_fixed, c12_check),
    Cancellation("c13", c13_setup, c13_buggy, c13_fixed, c13_check, c13_teardown, moments=("wait",)),
    Cancellation("c15", c15_setup, c15_buggy, c15_fixed, c15_check),
)
