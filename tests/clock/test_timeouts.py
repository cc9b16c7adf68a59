from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_uno import timeout
from pytest_uno.clock.timers import quantise
from tests.clock.running import run_virtual
from tests.clock.virtual_test import in_virtual_time, the_clock

Limit = Callable[[float], AbstractAsyncContextManager[object]]


def now() -> float:
    return asyncio.get_running_loop().time()


def elapsed() -> float:
    """Return the time to the nanosecond: anyio compares deadlines bit by bit, so time moves to the last of them."""
    return the_clock().elapsed


def until(seconds: float) -> AbstractAsyncContextManager[object]:
    return asyncio.timeout_at(now() + seconds)


@contextlib.asynccontextmanager
async def rescheduled(seconds: float) -> AsyncIterator[None]:
    async with asyncio.timeout(1000) as limit:
        limit.reschedule(now() + seconds)
        yield


@contextlib.asynccontextmanager
async def by_anyio(seconds: float) -> AsyncIterator[None]:
    with anyio.fail_after(seconds):
        yield


BLOCKS: list[Limit] = [timeout, asyncio.timeout, until, rescheduled, by_anyio]
"""All that limit the time of a block."""


async def idle() -> None:
    await asyncio.Event().wait()


# ------------------------------------------------------------------ one time limit


@pytest.mark.parametrize("limit", BLOCKS)
@pytest.mark.parametrize("seconds", [1e-9, 0.1, 2.5, 3600, 86400.5])
def test_a_block_ends_exactly_when_its_time_is_up(limit: Limit, seconds: float) -> None:
    async def main() -> None:
        await asyncio.sleep(0.2)
        with pytest.raises(TimeoutError):
            async with limit(seconds):
                await idle()
        assert elapsed() == round(0.2 + seconds, 9)

    run_virtual(main)


@pytest.mark.parametrize("limit", BLOCKS)
def test_a_nanosecond_less_is_in_time(limit: Limit) -> None:
    async def main() -> None:
        async with limit(0.3):
            await asyncio.sleep(0.3 - 1e-9)
        await asyncio.sleep(10)
        assert elapsed() == 10.299999999

    run_virtual(main)


@pytest.mark.parametrize("limit", BLOCKS)
def test_a_sleep_as_long_as_its_limit_is_too_long(limit: Limit) -> None:
    # The limit's timer is the older of the two.
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with limit(0.3):
                await asyncio.sleep(0.1)
                await asyncio.sleep(0.2)
        assert elapsed() == 0.3

    run_virtual(main)


@pytest.mark.parametrize("limit", BLOCKS)
def test_no_time_at_all(limit: Limit) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with limit(0):
                await asyncio.sleep(10)
        assert elapsed() == 0

    run_virtual(main)


@settings(deadline=None)
@given(st.floats(min_value=1e-9, max_value=1e5), st.floats(min_value=1e-9, max_value=1e5))
def test_the_shorter_of_limit_and_sleep_ends_the_block(limit: float, sleep: float) -> None:
    async def main() -> float:
        try:
            async with asyncio.timeout(limit):
                await asyncio.sleep(sleep)
        except TimeoutError:
            assert quantise(limit) <= quantise(sleep)
        else:
            assert quantise(sleep) < quantise(limit)
        return now()

    assert run_virtual(main)[0] == quantise(min(limit, sleep))


@in_virtual_time
async def test_wait_for() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(idle(), 0.1)
    assert now() == 0.1
    assert await asyncio.wait_for(asyncio.sleep(0.2, "slept"), 0.2 + 1e-9) == "slept"
    assert now() == 0.3
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(idle(), 0)
    assert now() == 0.3


@in_virtual_time
async def test_the_message_of_our_own_limit() -> None:
    with pytest.raises(TimeoutError, match=r"^timed out after 3600 s in test_the_message_of_our_own_limit"):
        async with timeout(3600):
            await idle()


@in_virtual_time
async def test_a_limit_can_be_moved_while_it_runs() -> None:
    expired: list[float] = []

    async def work() -> None:
        try:
            async with asyncio.timeout(5) as limit:
                limits.append(limit)
                await idle()
        except TimeoutError:
            expired.append(now())

    limits: list[asyncio.Timeout] = []
    tasks = [asyncio.create_task(work()) for _ in range(3)]
    await asyncio.sleep(1)
    limits[0].reschedule(now() + 100)
    limits[1].reschedule(None)
    await asyncio.sleep(10)
    assert expired == [5]
    limits[0].reschedule(0)
    await asyncio.sleep(0)
    limits[1].reschedule(now() + 0.5)
    await asyncio.gather(*tasks)
    assert expired == [5, 11, 11.5]


@in_virtual_time
async def test_no_limit() -> None:
    for limit in (timeout(None), asyncio.timeout(None), by_anyio(math.inf)):
        async with limit:
            await asyncio.sleep(86400)
    assert now() == 3 * 86400


# ------------------------------------------------------------------ limits within limits


@pytest.mark.parametrize("inner", BLOCKS)
@pytest.mark.parametrize("outer", BLOCKS)
def test_of_equal_limits_the_outer_wins(outer: Limit, inner: Limit) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with outer(1):
                try:
                    async with inner(1):
                        await asyncio.sleep(5)
                except TimeoutError:
                    pytest.fail("the inner limit won")
        assert elapsed() == 1
        await asyncio.sleep(1)

    run_virtual(main)


@pytest.mark.parametrize("inner", BLOCKS)
@pytest.mark.parametrize("outer", BLOCKS)
def test_the_nearer_limit_wins(outer: Limit, inner: Limit) -> None:
    async def main() -> None:
        async with outer(1):
            with pytest.raises(TimeoutError):
                async with inner(1 - 1e-9):
                    await asyncio.sleep(5)
        assert elapsed() == 1 - 1e-9

    run_virtual(main)


@in_virtual_time
async def test_equal_limits_around_a_group() -> None:
    ended: list[str] = []

    async def child(name: str) -> None:
        try:
            async with timeout(2, name):
                await idle()
        except TimeoutError:
            ended.append(name)
            raise
        except asyncio.CancelledError:
            ended.append(f"{name} cancelled")
            raise

    with pytest.raises(TimeoutError, match=r"^outer$"):
        async with timeout(2, "outer"), asyncio.TaskGroup() as group:
            for name in ("first", "second"):
                group.create_task(child(name))
    assert elapsed() == 2
    assert len(ended) == 2


# ------------------------------------------------------------------ waiting for several


@in_virtual_time
async def test_wait_returns_what_is_left() -> None:
    naps = [asyncio.create_task(asyncio.sleep(length)) for length in (1, 2, 3.000000001, 10)]
    done, left = await asyncio.wait(naps, timeout=3)
    assert (done, left) == (set(naps[:2]), set(naps[2:]))
    assert now() == 3
    done, left = await asyncio.wait(left, timeout=100, return_when=asyncio.FIRST_COMPLETED)
    assert (done, left) == ({naps[2]}, {naps[3]})
    assert now() == 3.000000001
    done, left = await asyncio.wait(naps)
    assert left == set()
    assert now() == 10


@in_virtual_time
async def test_as_completed_ends_when_its_time_is_up() -> None:
    naps = [asyncio.create_task(asyncio.sleep(length, length)) for length in (10, 2, 1)]
    got: list[float] = []
    with pytest.raises(TimeoutError):
        for following in asyncio.as_completed(naps, timeout=3):
            got += [await following]
    assert got == [1, 2]
    assert now() == 3
    naps[0].cancel()


# ------------------------------------------------------------------ what is limited


async def get() -> object:
    return await asyncio.Queue[int]().get()


async def put() -> object:
    queue = asyncio.Queue[int](1)
    await queue.put(1)
    await queue.put(2)
    return queue


async def acquire() -> object:
    lock = asyncio.Lock()
    await lock.acquire()
    return await lock.acquire()


async def enter() -> object:
    return await asyncio.Semaphore(0).acquire()


async def be_notified() -> object:
    condition = asyncio.Condition()
    async with condition:
        return await condition.wait_for(lambda: False)


async def meet() -> object:
    return await asyncio.Barrier(2).wait()


@pytest.mark.parametrize("wait", [idle, get, put, acquire, enter, be_notified, meet])
@pytest.mark.parametrize("limit", BLOCKS)
def test_every_wait_can_be_limited(limit: Limit, wait: Callable[[], Awaitable[object]]) -> None:
    async def main() -> None:
        for turn in range(1, 4):
            with pytest.raises(TimeoutError):
                async with limit(0.1):
                    await wait()
            assert elapsed() == round(turn * 0.1, 9)

    assert run_virtual(main)[1].jumps == 3


@in_virtual_time
async def test_a_queue_with_a_slow_producer() -> None:
    queue = asyncio.Queue[int]()

    async def produce() -> None:
        for number in range(3):
            await asyncio.sleep(1)
            queue.put_nowait(number)

    producer = asyncio.create_task(produce())
    got: list[tuple[float, int | None]] = []
    for _ in range(6):
        try:
            number = await asyncio.wait_for(queue.get(), 0.75)
        except TimeoutError:
            got.append((now(), None))
        else:
            got.append((now(), number))
    await producer
    assert got == [(0.75, None), (1, 0), (1.75, None), (2, 1), (2.75, None), (3, 2)]


@in_virtual_time
async def test_a_barrier_opens_when_the_last_one_comes() -> None:
    barrier = asyncio.Barrier(4)
    passed: list[float] = []

    async def come(delay: float) -> None:
        await asyncio.sleep(delay)
        async with barrier:
            passed.append(now())

    await asyncio.gather(*(come(delay) for delay in (0.1, 7, 0.3, 2)))
    assert passed == [7] * 4


@in_virtual_time
async def test_a_condition_is_notified_in_time() -> None:
    condition = asyncio.Condition()
    ready = False

    async def notify() -> None:
        nonlocal ready
        await asyncio.sleep(59.5)
        async with condition:
            ready = True
            condition.notify_all()

    notifier = asyncio.create_task(notify())
    async with timeout(60), condition:
        await condition.wait_for(lambda: ready)
    assert now() == 59.5
    await notifier
