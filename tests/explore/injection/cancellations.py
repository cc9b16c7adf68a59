"""Operations that a cancellation breaks, each with a fixed twin, on plain asyncio.

Each takes a world, may be cancelled at any await, and is judged by `check`. No tool is imported.
"""

from __future__ import annotations

import asyncio
from asyncio import sleep
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeAlias

__all__ = ["CANCELLATIONS", "Cancellation"]

World: TypeAlias = Any
Step: TypeAlias = Callable[[World], Awaitable[Any]]


@dataclass(frozen=True)
class Cancellation:
    """One bug.

    Attributes:
        id: its number in the corpus.
        setup: makes a world.
        buggy: the operation.
        fixed: the same, as it should be.
        check: raises if the world is not as it should be.
        teardown: takes the world down.
        moments: the moments at which a single cancellation shows the bug.
    """

    id: str
    setup: Callable[[], Awaitable[World]]
    buggy: Step
    fixed: Step
    check: Step
    teardown: Step | None = None
    moments: tuple[str, ...] = ("wait", "wake")


# c01: a permit is lost without `finally`.
async def c01_setup() -> World:
    return SimpleNamespace(sem=asyncio.Semaphore(1))


async def c01_buggy(w: World) -> None:
    await w.sem.acquire()
    await sleep(0.001)
    w.sem.release()


async def c01_fixed(w: World) -> None:
    async with w.sem:
        await sleep(0.001)


async def c01_check(w: World) -> None:
    assert not w.sem.locked(), "permit lost"


# c02: cancelled between acquire and try: the pool tries the connection before it hands it out.
class Pool:
    def __init__(self) -> None:
        self.idle = ["connection"]

    async def acquire_buggy(self) -> str:
        connection = self.idle.pop()
        await sleep(0.001)
        return connection

    async def acquire_fixed(self) -> str:
        connection = self.idle.pop()
        try:
            await sleep(0.001)
        except BaseException:
            self.idle.append(connection)
            raise
        return connection


async def c02_setup() -> World:
    return SimpleNamespace(pool=Pool())


async def c02_buggy(w: World) -> None:
    connection = await w.pool.acquire_buggy()
    try:
        await sleep(0.001)
    finally:
        w.pool.idle.append(connection)


async def c02_fixed(w: World) -> None:
    connection = await w.pool.acquire_fixed()
    try:
        await sleep(0.001)
    finally:
        w.pool.idle.append(connection)


async def c02_check(w: World) -> None:
    assert len(w.pool.idle) == 1, "connection lost"


# c03: the result has arrived, and the cancellation comes before the task goes on.
class Handoff:
    def __init__(self) -> None:
        self.idle = ["connection"]
        self.waiters: list[asyncio.Future[str]] = []

    def put(self, connection: str) -> None:
        while self.waiters:
            waiter = self.waiters.pop(0)
            if not waiter.done():
                waiter.set_result(connection)
                return
        self.idle.append(connection)

    async def get_buggy(self) -> str:
        if self.idle:
            return self.idle.pop()
        waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        return await waiter

    async def get_fixed(self) -> str:
        if self.idle:
            return self.idle.pop()
        waiter: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.put(waiter.result())
            raise


async def c03_setup() -> World:
    world = SimpleNamespace(pool=Handoff())
    connection = await world.pool.get_fixed()

    async def hold() -> None:
        await sleep(0.003)
        world.pool.put(connection)

    world.holder = asyncio.create_task(hold(), name="holder")
    return world


async def c03_buggy(w: World) -> None:
    connection = await w.pool.get_buggy()
    try:
        await sleep(0.001)
    finally:
        w.pool.put(connection)


async def c03_fixed(w: World) -> None:
    connection = await w.pool.get_fixed()
    try:
        await sleep(0.001)
    finally:
        w.pool.put(connection)


async def c03_check(w: World) -> None:
    await w.holder
    assert len(w.pool.idle) == 1, "connection handed to a cancelled waiter"


# c05: a retry loop swallows the cancellation.
async def c05_setup() -> World:
    return SimpleNamespace(tries=0)


async def c05_buggy(w: World) -> str | None:
    for _ in range(3):
        w.tries += 1
        try:
            await sleep(0.001)
            return "ok"
        except (asyncio.CancelledError, ConnectionError):
            continue
    return None


async def c05_fixed(w: World) -> str | None:
    for _ in range(3):
        w.tries += 1
        try:
            await sleep(0.001)
            return "ok"
        except ConnectionError:
            continue
    return None


async def c05_check(w: World) -> None:
    assert w.tries == 1, "went on after the cancellation"


# c06: shield: the lock is released while the shielded write goes on.
async def c06_setup() -> World:
    return SimpleNamespace(lock=asyncio.Lock(), writing=False)


async def c06_commit(w: World) -> None:
    w.writing = True
    await sleep(0.002)
    await sleep(0.002)
    w.writing = False


async def c06_buggy(w: World) -> None:
    async with w.lock:
        await asyncio.shield(c06_commit(w))


async def c06_fixed(w: World) -> None:
    async with w.lock:
        task = asyncio.ensure_future(c06_commit(w))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await task
            raise


async def c06_check(w: World) -> None:
    assert not (w.writing and not w.lock.locked()), "lock released while the shielded write goes on"


# c07: half a transfer.
async def c07_setup() -> World:
    return SimpleNamespace(a=100, b=0)


async def c07_buggy(w: World) -> None:
    w.a -= 10
    await sleep(0.001)
    w.b += 10
    await sleep(0.001)


async def c07_fixed(w: World) -> None:
    await sleep(0.001)
    w.a -= 10
    w.b += 10
    await sleep(0.001)


async def c07_check(w: World) -> None:
    assert w.a + w.b == 100, "money lost"


# c08: the clean-up is cancelled itself.
async def c08_buggy(w: World) -> None:
    connection = w.pool.idle.pop()
    try:
        await sleep(0.001)
    finally:
        await sleep(0.001)
        w.pool.idle.append(connection)


async def c08_fixed(w: World) -> None:
    connection = w.pool.idle.pop()
    try:
        await sleep(0.001)
    finally:
        try:
            await sleep(0.001)
        finally:
            w.pool.idle.append(connection)


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


CANCELLATIONS = (
    Cancellation("c01", c01_setup, c01_buggy, c01_fixed, c01_check),
    Cancellation("c02", c02_setup, c02_buggy, c02_fixed, c02_check),
    Cancellation("c03", c03_setup, c03_buggy, c03_fixed, c03_check, moments=("wake",)),
    Cancellation("c05", c05_setup, c05_buggy, c05_fixed, c05_check),
    Cancellation("c06", c06_setup, c06_buggy, c06_fixed, c06_check, moments=("wait",)),
    Cancellation("c07", c07_setup, c07_buggy, c07_fixed, c07_check),
    Cancellation("c08", c02_setup, c08_buggy, c08_fixed, c02_check),
    Cancellation("c09", c09_setup, c09_buggy, c09_fixed, c09_check),
    Cancellation("c10", c10_setup, c10_buggy, c10_fixed, c10_check, c10_teardown),
    Cancellation("c11", c11_setup, c11_buggy, c11_fixed, c11_check),
    Cancellation("c12", c12_setup, c12_buggy, c12_fixed, c12_check),
    Cancellation("c13", c13_setup, c13_buggy, c13_fixed, c13_check, c13_teardown, moments=("wait",)),
    Cancellation("c15", c15_setup, c15_buggy, c15_fixed, c15_check),
)
