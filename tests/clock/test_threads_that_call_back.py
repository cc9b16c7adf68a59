"""Work that nobody awaits and that calls back: given to a pool with `submit`, or to a `threading.Timer`."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

from pytest_uno.clock.budgets import Budgets
from tests.clock.running import run_virtual
from tests.clock.tickers import PATIENT, at_once, running_clock, ticking

# ------------------------------------------------------------------ pools without an awaited future


def test_work_of_a_pool_that_calls_back() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            called = asyncio.Event()
            pool.submit(time.sleep, 0.05).add_done_callback(lambda _: loop.call_soon_threadsafe(called.set))
            async with ticking() as ticks:
                await at_once(called.wait())
                assert ticks == []

    run_virtual(main, budgets=PATIENT)


def test_work_for_a_pool_that_is_older_than_the_loop() -> None:
    with ThreadPoolExecutor(2) as pool:
        pool.submit(int).result(30)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            async with ticking():
                for number in range(100):
                    answer: asyncio.Future[int] = loop.create_future()
                    pool.submit(loop.call_soon_threadsafe, answer.set_result, number)
                    assert await at_once(answer) == number
                    await asyncio.sleep(0.003)

        _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 0.3


def test_a_pool_that_rests_holds_nothing() -> None:
    async def main() -> None:
        with ThreadPoolExecutor(1) as pool:
            await asyncio.get_running_loop().run_in_executor(pool, int)
            held = running_clock().held
            for _ in range(24):
                await asyncio.sleep(3600)
            assert running_clock().held == held

    run_virtual(main, budgets=PATIENT)


def test_what_a_pool_worked_on_is_not_kept() -> None:
    class Variable:
        pass

    async def main() -> None:
        with ThreadPoolExecutor(1) as pool:
            variable = Variable()
            kept = weakref.ref(variable)
            pool.submit(lambda it: None, variable)
            del variable
            async with ticking():
                await asyncio.sleep(1)
                await asyncio.get_running_loop().run_in_executor(pool, int)
                await asyncio.sleep(1)
            assert kept() is None

    run_virtual(main, budgets=PATIENT)


# ------------------------------------------------------------------ threading.Timer


def test_a_timer_thread_that_calls_in() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        called = asyncio.Event()
        async with ticking() as ticks:
            timer = threading.Timer(0.2, loop.call_soon_threadsafe, (called.set,))
            timer.start()
            await at_once(called.wait())
            assert ticks == []
            timer.join(30)

    run_virtual(main, budgets=PATIENT)


def test_timer_threads_that_start_the_next_get_one_patience_together() -> None:
    ended = threading.Event()
    timers: list[threading.Timer] = []

    def again() -> None:
        if not ended.is_set():
            timers.append(threading.Timer(0.01, again))
            timers[-1].start()

    async def main() -> None:
        called = asyncio.Event()
        asyncio.get_running_loop().call_later(3600, called.set)
        again()
        try:
            await called.wait()
        finally:
            ended.set()
            for timer in timers:
                timer.join(30)

    _, clock = run_virtual(main, budgets=Budgets(patience=0.1, stall=30))
    assert clock.time() == 3600
