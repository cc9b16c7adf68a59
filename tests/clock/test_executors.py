"""Work in executors and worker threads: time stands still, then flows, and never jumps over it."""

from __future__ import annotations

import asyncio
import contextvars
import math
import multiprocessing
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from pytest_uno.clock.budgets import Budgets
from tests.clock.running import run_virtual
from tests.clock.tickers import PATIENT, at_once, running_clock, ticking

IMPATIENT = Budgets(patience=0.05)


def test_calls_in_the_default_executor_cost_no_virtual_time() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        results = []
        async with ticking():
            for number in range(50):
                results.append(await at_once(loop.run_in_executor(None, abs, -number)))
                await asyncio.sleep(0.003)
        return results

    results, clock = run_virtual(main, budgets=PATIENT)
    assert results == list(range(50))
    assert clock.time() == 0.15


def test_a_call_slower_than_the_virtual_time_limit() -> None:
    async def main() -> None:
        async with ticking() as ticks:
            await at_once(asyncio.to_thread(time.sleep, 0.1))
            assert ticks == []

    _, clock = run_virtual(main, budgets=PATIENT)
    assert 0 < clock.held < PATIENT.patience


def test_to_thread_keeps_the_context() -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")

    async def main() -> str:
        name.set("mine")
        async with ticking():
            return await at_once(asyncio.to_thread(name.get))

    assert run_virtual(main, budgets=PATIENT)[0] == "mine"


def test_parallel_calls_in_an_executor_of_ones_own() -> None:
    meeting = threading.Barrier(3)

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(3) as pool:
            async with ticking():
                calls = [loop.run_in_executor(pool, meeting.wait, 30) for _ in range(3)]
                return await at_once(asyncio.gather(*calls))

    assert sorted(run_virtual(main, budgets=PATIENT)[0]) == [0, 1, 2]


def test_a_future_that_is_polled_and_not_awaited() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(None, time.sleep, 0.05)
        polls = 0
        while not future.done():
            await asyncio.sleep(0.01)
            polls += 1
        return polls

    polls, clock = run_virtual(main, budgets=PATIENT)
    assert polls == 1
    assert clock.time() == 0.01


def test_a_concurrent_future_that_is_wrapped() -> None:
    async def main() -> float:
        with ThreadPoolExecutor(1) as pool:
            async with ticking():
                return await at_once(asyncio.wrap_future(pool.submit(math.sqrt, 16)))

    assert run_virtual(main, budgets=PATIENT)[0] == 4


def test_a_pool_of_processes() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            async with ticking() as ticks:
                roots = [
                    await at_once(loop.run_in_executor(pool, math.sqrt, number * number))
                    for number in range(5)
                ]
                assert ticks == []
            for _ in range(24):
                await asyncio.sleep(3600)
        return roots

    roots, clock = run_virtual(main, budgets=PATIENT)
    assert roots == [0, 1, 2, 3, 4]
    assert clock.time() == 24 * 3600


# ------------------------------------------------------------------ longer than the patience


def test_a_thread_longer_than_the_patience_under_a_longer_time_limit() -> None:
    async def main() -> str:
        # Time flows at real speed once the patience is over: no more of it than the thread takes.
        async with ticking(), asyncio.timeout(5):
            await asyncio.to_thread(time.sleep, 0.2)
        return "done"

    result, clock = run_virtual(main, budgets=IMPATIENT)
    assert result == "done"
    assert clock.time() < 5
    assert clock.held > clock.budgets.patience


def test_a_thread_longer_than_the_patience_under_a_shorter_time_limit() -> None:
    released = threading.Event()

    async def main() -> float:
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await asyncio.to_thread(released.wait, 30)
            return asyncio.get_running_loop().time()
        finally:
            released.set()

    ended, clock = run_virtual(main, budgets=IMPATIENT)
    assert ended == 0.1
    assert clock.held > IMPATIENT.patience


def test_a_sleep_beside_a_thread_longer_than_the_patience_is_not_jumped_over() -> None:
    released = threading.Event()

    async def main() -> None:
        waiting = asyncio.create_task(asyncio.to_thread(released.wait, 30))
        await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        released.set()
        assert await waiting

    _, clock = run_virtual(main, budgets=IMPATIENT)
    assert clock.time() >= 0.1
    assert clock.held > IMPATIENT.patience


def test_a_thread_of_a_background_task_holds_nothing() -> None:
    released = threading.Event()

    async def main() -> None:
        task = asyncio.create_task(_wait_in_a_thread(released))
        running_clock().background(task)
        await asyncio.sleep(3600)
        assert not task.done()
        released.set()
        await task

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 3600
    assert clock.held < PATIENT.patience


async def _wait_in_a_thread(released: threading.Event) -> None:
    await asyncio.get_running_loop().run_in_executor(None, released.wait, 30)


# ------------------------------------------------------------------ threads that wait for the loop


def test_a_thread_that_waits_for_a_virtual_minute() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()

        def work() -> str:
            return asyncio.run_coroutine_threadsafe(asyncio.sleep(60, "slept"), loop).result(30)

        async with asyncio.timeout(100):
            return await asyncio.to_thread(work)

    result, clock = run_virtual(main, budgets=PATIENT)
    assert result == "slept"
    assert clock.time() == 60
    assert clock.held < PATIENT.patience


def test_a_thread_that_waits_for_the_loop_beside_one_that_works() -> None:
    seen: list[tuple[str, float]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        working = threading.Event()

        def wait_for_the_loop() -> None:
            sleeping = asyncio.run_coroutine_threadsafe(asyncio.sleep(60), loop)
            working.set()
            sleeping.result(30)

        def work() -> None:
            working.wait(30)
            time.sleep(0.1)

        async def note(name: str, work: Callable[[], None]) -> None:
            await asyncio.to_thread(work)
            seen.append((name, loop.time()))

        async with asyncio.TaskGroup() as group:
            group.create_task(note("waits", wait_for_the_loop))
            group.create_task(note("works", work))

    run_virtual(main, budgets=PATIENT)
    assert seen == [("works", 0), ("waits", 60)]


def test_anyio_threads_that_call_back_into_the_loop() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()

        def work() -> list[float]:
            moments = [anyio.from_thread.run_sync(loop.time)]
            anyio.from_thread.run(anyio.sleep, 60)
            return [*moments, anyio.from_thread.run_sync(loop.time)]

        with anyio.fail_after(100):
            return await anyio.to_thread.run_sync(work)

    moments, clock = run_virtual(main, budgets=PATIENT)
    assert moments == [0, 60]
    assert clock.held < PATIENT.patience


# ------------------------------------------------------------------ anyio's workers


def test_anyio_workers_cost_no_virtual_time_and_hold_nothing_when_idle() -> None:
    async def main() -> None:
        clock = running_clock()
        async with ticking() as ticks:
            for _ in range(20):
                await at_once(anyio.to_thread.run_sync(time.sleep, 0.001))
            assert ticks == []
        before = clock.held
        for _ in range(24):
            await asyncio.sleep(3600)
        assert clock.held == before

    run_virtual(main, budgets=PATIENT)


def test_an_anyio_worker_longer_than_the_patience_under_a_shorter_time_limit() -> None:
    released = threading.Event()

    async def main() -> float:
        try:
            with pytest.raises(TimeoutError), anyio.fail_after(0.1):
                await anyio.to_thread.run_sync(released.wait, 30, abandon_on_cancel=True)
            return asyncio.get_running_loop().time()
        finally:
            released.set()

    assert run_virtual(main, budgets=IMPATIENT)[0] == 0.1


# ------------------------------------------------------------------ shutdown


def test_the_executor_shuts_down_without_a_warning() -> None:
    released = threading.Event()
    finished = threading.Event()

    def work() -> None:
        released.wait(30)
        time.sleep(0.1)
        finished.set()

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, work)
        ticker = asyncio.create_task(asyncio.sleep(math.inf))
        await asyncio.sleep(0)
        ticker.cancel()
        released.set()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run_virtual(main, budgets=IMPATIENT)
    assert finished.is_set()
    assert caught == []


def test_the_executor_shuts_down_within_the_test() -> None:
    finished = threading.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def work() -> None:
            time.sleep(0.1)
            finished.set()

        async with ticking() as ticks:
            loop.run_in_executor(None, work)
            await loop.shutdown_default_executor()
            assert finished.is_set()
            assert ticks == []

    run_virtual(main, budgets=PATIENT)
