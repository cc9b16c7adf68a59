"""Threads that are older than the loop: they get patience from when they are free for it."""

from __future__ import annotations

import asyncio
import functools
import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pytest_uno.clock.budgets import Budgets
from tests.clock.running import run_virtual
from tests.clock.running_threads import running_thread
from tests.clock.tickers import PATIENT, at_once, ticking
from tests.clock.workers import Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    """Make a worker before the loop."""
    one = Worker()
    yield one
    one.close()


def test_a_worker_that_is_older_than_the_loop(worker: Worker) -> None:
    parked = threading.Event()
    run_virtual(lambda: worker.ask(parked.set))

    async def main() -> None:
        async with ticking() as ticks:
            for _ in range(3):
                await at_once(worker.ask(lambda: time.sleep(0.05)))
            assert ticks == []

    run_virtual(main, budgets=PATIENT)


def test_an_older_thread_counts_while_it_comes_back_from_an_earlier_loop(
    worker: Worker,
) -> None:
    """On a busy machine its call into that loop may return only when it has its next job."""
    has_next_job = threading.Event()

    async def earlier() -> None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[None] = loop.create_future()

        def answer_and_linger(result: None) -> None:
            loop.call_soon_threadsafe(answer.set_result, result)
            while not has_next_job.is_set():
                time.sleep(0.001)

        worker.tell(lambda: None, answer_and_linger)
        await answer

    run_virtual(earlier)

    async def main() -> None:
        async with ticking() as ticks:
            answer = worker.ask(lambda: time.sleep(0.05))
            has_next_job.set()
            await at_once(answer)
            assert ticks == []

    run_virtual(main, budgets=PATIENT)


@pytest.mark.parametrize("is_silent", [False, True])
def test_an_older_thread_that_does_not_come_back_is_given_up(is_silent: bool) -> None:
    ended = threading.Event()

    def work(call: Callable[[], object]) -> None:
        call()
        while not ended.is_set():
            time.sleep(0.001)

    async def earlier() -> None:
        called = asyncio.Event()
        call = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, called.set)
        threads.append(threading.Thread(target=work, args=(int if is_silent else call,)))
        threads[0].start()
        if not is_silent:
            await called.wait()

    threads: list[threading.Thread] = []
    run_virtual(earlier)

    async def main() -> None:
        for _ in range(24):
            await asyncio.sleep(3600)

    patience = 0.05
    _, clock = run_virtual(main, budgets=Budgets(patience=patience))
    ended.set()
    threads[0].join()
    assert clock.time() == 24 * 3600
    assert [bool(clock.held), bool(clock.held_by)] == [not is_silent] * 2
    assert clock.held < 24 * patience  # once, not for each sleep


def test_an_older_thread_counts_once_it_has_been_idle() -> None:
    busy, called_in, job = threading.Event(), threading.Event(), queue.Queue[Callable[[], object]]()

    def work() -> None:
        while not called_in.is_set():
            busy.set()
            time.sleep(0.001)
        job.get()()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with ticking():
            await asyncio.sleep(0.05)
            called_in.set()
            while not job.not_empty._waiters:  # type: ignore[attr-defined]
                time.sleep(0.001)
            await asyncio.sleep(0.05)

            def answer() -> None:
                time.sleep(0.05)
                loop.call_soon_threadsafe(called.set)

            called = asyncio.Event()
            job.put(answer)
            await at_once(called.wait())

    with running_thread(work):
        busy.wait(30)
        run_virtual(main, budgets=PATIENT)


def test_an_older_thread_that_goes_on_with_its_work_holds_nothing() -> None:
    busy, ended = threading.Event(), threading.Event()

    def work() -> None:
        while not ended.is_set():
            busy.set()
            time.sleep(0.001)

    async def main() -> None:
        await asyncio.sleep(1)
        time.sleep(0.02)  # longer than its patience: it is not looked at any more
        for _ in range(24):
            await asyncio.sleep(3600)

    with running_thread(work):
        busy.wait(30)
        _, clock = run_virtual(main, budgets=Budgets(patience=0.01))
        ended.set()
    assert clock.time() == 24 * 3600 + 1
    assert clock.held == 0
