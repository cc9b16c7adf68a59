"""Threads that user code starts: they get patience while they work, and none while they are parked."""

from __future__ import annotations

import asyncio
import functools
import gc
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_uno.clock.budgets import Budgets
from tests.clock.running import run_virtual
from tests.clock.running_threads import running_thread
from tests.clock.tickers import PATIENT, at_once, ticking
from tests.clock.workers import Worker

IMPATIENT = Budgets(patience=0.05, quiet=0.01)


def test_a_thread_calls_in_after_a_real_delay() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        called = asyncio.Event()

        def work() -> None:
            time.sleep(0.1)
            loop.call_soon_threadsafe(called.set)

        async with ticking() as ticks:
            with running_thread(work):
                assert await at_once(called.wait())
            assert ticks == []

    run_virtual(main, budgets=PATIENT)


def test_a_future_of_the_tests_own_is_resolved_by_a_thread() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()

        def work() -> None:
            time.sleep(0.1)
            loop.call_soon_threadsafe(answer.set_result, "answer")

        async with ticking():
            with running_thread(work):
                return await at_once(answer)

    assert run_virtual(main, budgets=PATIENT)[0] == "answer"


def test_a_thread_that_calls_in_several_times() -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[int] = asyncio.Queue()

        def work() -> None:
            for number in range(5):
                time.sleep(0.02)
                loop.call_soon_threadsafe(items.put_nowait, number)

        async with ticking():
            with running_thread(work):
                return [await at_once(items.get()) for _ in range(5)]

    assert run_virtual(main, budgets=PATIENT)[0] == [0, 1, 2, 3, 4]


def test_a_thread_longer_than_the_patience_under_a_longer_time_limit() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        called = asyncio.Event()

        def work() -> None:
            time.sleep(0.2)
            loop.call_soon_threadsafe(called.set)

        async with ticking():
            with running_thread(work):
                async with asyncio.timeout(5):
                    await called.wait()
                return loop.time()

    called_at, clock = run_virtual(main, budgets=IMPATIENT)
    assert called_at < 5
    assert clock.held > IMPATIENT.patience


def test_a_thread_longer_than_the_patience_under_a_shorter_time_limit() -> None:
    released = threading.Event()

    async def main() -> float:
        loop = asyncio.get_running_loop()
        called = asyncio.Event()

        def work() -> None:
            while not released.is_set():
                time.sleep(0.01)

        with running_thread(work):
            try:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await called.wait()
                return loop.time()
            finally:
                released.set()

    assert run_virtual(main, budgets=IMPATIENT)[0] == 0.1


def test_a_busy_thread_is_given_up_while_the_test_only_sleeps() -> None:
    released = threading.Event()

    async def main() -> None:
        def work() -> None:
            while not released.is_set():
                time.sleep(0.01)

        with running_thread(work, name="busy"):
            try:
                for _ in range(24):
                    await asyncio.sleep(3600)
            finally:
                released.set()

    _, clock = run_virtual(main, budgets=Budgets(patience=0.1, quiet=0.01))
    assert clock.time() == 24 * 3600
    assert any("busy" in reason for reason in clock.held_by)
    assert clock.held < 10 * 0.1  # once, not for each sleep


def test_what_threads_have_in_their_variables_is_not_kept() -> None:
    class Variable:
        pass

    kept: list[weakref.ref[Variable]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        called = asyncio.Event()

        def work() -> None:
            variable = Variable()
            kept.append(weakref.ref(variable))
            time.sleep(0.05)
            loop.call_soon_threadsafe(called.set)

        with running_thread(work):
            await called.wait()

    was_enabled = gc.isenabled()
    gc.disable()
    try:
        _, clock = run_virtual(main, budgets=PATIENT)
        assert clock.held > 0
        assert [one() for one in kept] == [None]
    finally:
        if was_enabled:
            gc.enable()


# ------------------------------------------------------------------ workers with a queue


@pytest.fixture
def worker() -> Iterator[Callable[[], Worker]]:
    """Make a worker, in the loop or before."""
    made: list[Worker] = []

    def make() -> Worker:
        made.append(Worker())
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_an_unknown_worker_costs_no_virtual_time(worker: Callable[[], Worker]) -> None:
    async def main() -> list[int]:
        one = worker()
        answers: list[int] = []
        async with ticking():
            for number in range(50):
                answers.append(await at_once(one.ask(functools.partial(abs, number))))
                await asyncio.sleep(0.003)
        return answers

    answers, clock = run_virtual(main, budgets=PATIENT)
    assert answers == list(range(50))
    assert clock.time() == 0.15


def test_an_unknown_worker_that_works_for_long(worker: Callable[[], Worker]) -> None:
    async def main() -> None:
        one = worker()
        async with ticking() as ticks:
            await at_once(one.ask(lambda: time.sleep(0.1)))
            assert ticks == []

    run_virtual(main, budgets=PATIENT)


def test_the_thread_that_waits_for_a_virtual_loop_holds_nothing() -> None:
    def run() -> tuple[float, float]:
        _, clock = run_virtual(lambda: asyncio.sleep(3600), budgets=PATIENT)
        return clock.time(), clock.held

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result(30) == (3600, 0)


def test_a_job_for_a_worker_that_was_parked_for_long(worker: Callable[[], Worker]) -> None:
    """The job wakes the worker, which may still look parked while it waits for the interpreter."""

    async def main() -> None:
        one = worker()
        async with ticking():
            for _ in range(50):
                await asyncio.sleep(1)
                await at_once(one.ask(lambda: None))

    _, clock = run_virtual(main, budgets=Budgets(patience=30.0, quiet=0.001))
    assert clock.time() == 50


def test_a_parked_worker_holds_for_a_moment_only(worker: Callable[[], Worker]) -> None:
    async def main() -> None:
        one = worker()
        await one.ask(lambda: None)
        for _ in range(24):
            await asyncio.sleep(3600)

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 24 * 3600
    assert clock.held < PATIENT.patience


class ThreadQueue:
    """A queue between threads and the loop: `put` and `get` in a thread, `aput` and `aget` in the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: queue.Queue[int] = queue.Queue()
        self._arrived = asyncio.Event()

    def put(self, item: int) -> None:
        self._items.put(item)
        self._loop.call_soon_threadsafe(self._arrived.set)

    def get(self) -> int:
        return self._items.get(timeout=30)

    async def aput(self, item: int) -> None:
        self._items.put(item)

    async def aget(self) -> int:
        while True:
            try:
                return self._items.get_nowait()
            except queue.Empty:
                self._arrived.clear()
                await self._arrived.wait()


def test_queues_between_the_loop_and_a_thread() -> None:
    async def main() -> list[int]:
        there, back = ThreadQueue(), ThreadQueue()

        def double() -> None:
            while (number := there.get()) >= 0:
                back.put(2 * number)

        doubled: list[int] = []
        async with ticking():
            with running_thread(double):
                for number in range(100):
                    await there.aput(number)
                    doubled.append(await at_once(back.aget()))
                    await asyncio.sleep(0.003)
                await there.aput(-1)
        return doubled

    doubled, clock = run_virtual(main, budgets=PATIENT)
    assert doubled == [2 * number for number in range(100)]
    assert clock.time() == 0.3
