"""Operations on plain asyncio whose cancellation loses something, or leaves it half done."""

from __future__ import annotations

import asyncio
from asyncio import sleep
from types import SimpleNamespace

from tests.explore.injection.cancellation_case import Cancellation, World

__all__ = ["LOST_STATES"]


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


LOST_STATES = (
    Cancellation("c01", c01_setup, c01_buggy, c01_fixed, c01_check),
    Cancellation("c02", c02_setup, c02_buggy, c02_fixed, c02_check),
    Cancellation("c03", c03_setup, c03_buggy, c03_fixed, c03_check, moments=("wake",)),
    Cancellation("c05", c05_setup, c05_buggy, c05_fixed, c05_check),
    Cancellation("c06", c06_setup, c06_buggy, c06_fixed, c06_check, moments=("wait",)),
    Cancellation("c07", c07_setup, c07_buggy, c07_fixed, c07_check),
    Cancellation("c08", c02_setup, c08_buggy, c08_fixed, c02_check),
)
