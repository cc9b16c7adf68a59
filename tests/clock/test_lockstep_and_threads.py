"""Time-outs that block a thread end by themselves while a clock is in lockstep, whichever thread it is."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from freezegun import api

from tests.clock.lockstep import HandWall

START = datetime(2026, 1, 1, tzinfo=UTC)


def wait_for_futures() -> bool:
    return bool(concurrent.futures.wait([concurrent.futures.Future()], timeout=0.01).not_done)


def take_futures() -> bool:
    never: concurrent.futures.Future[None] = concurrent.futures.Future()
    try:
        list(concurrent.futures.as_completed([never], timeout=0.01))
    except TimeoutError:
        return True
    return False


def wait_for_event() -> bool:
    return not threading.Event().wait(0.01)


def wait_for_condition() -> bool:
    condition = threading.Condition()
    with condition:
        return not condition.wait_for(lambda: False, timeout=0.01)


def take_from_queue() -> bool:
    try:
        queue.Queue[None]().get(timeout=0.01)
    except queue.Empty:
        return True
    return False


def wait_for_process() -> bool:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            process.wait(timeout=0.01)
        except subprocess.TimeoutExpired:
            return True
        finally:
            process.kill()
    return False


WAITS = [
    wait_for_futures,
    take_futures,
    wait_for_event,
    wait_for_condition,
    take_from_queue,
    wait_for_process,
]


def in_thread(call: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join(30)
    assert results, "the thread hangs, or failed"
    return results[0]


@pytest.fixture
def wall() -> Iterator[HandWall]:
    wall = HandWall()
    with wall.running():
        yield wall


@pytest.mark.parametrize("wait", WAITS)
def test_a_timeout_ends_in_the_loops_own_thread(wall: HandWall, wait: Callable[[], bool]) -> None:
    assert wait()


@pytest.mark.parametrize("wait", WAITS)
def test_a_timeout_ends_in_another_thread(wall: HandWall, wait: Callable[[], bool]) -> None:
    assert in_thread(wait)


def test_the_loop_of_another_thread_keeps_real_time(wall: HandWall) -> None:
    async def sleep() -> datetime:
        async with asyncio.timeout(10):
            await asyncio.sleep(0.001)
        return datetime.now(UTC)

    assert in_thread(lambda: asyncio.run(sleep())) == START


def test_dates_are_virtual_and_monotonic_clocks_real_in_other_threads(wall: HandWall) -> None:
    def read() -> tuple[datetime, float, float]:
        return datetime.now(UTC), time.time(), time.monotonic()

    before = in_thread(time.monotonic)
    wall.jump(3600)
    date, seconds, monotonic = in_thread(read)
    assert date.timestamp() == seconds == START.timestamp() + 3600
    assert 0 <= monotonic - before < 60
    assert in_thread(time.perf_counter_ns) > 0
    assert time.monotonic() == 3600


def test_each_thread_has_the_monotonic_clock_of_its_own_loop(wall: HandWall) -> None:
    other = HandWall("2027-01-01", moment=77.0)

    def run() -> tuple[float, datetime]:
        with other.running():
            return time.monotonic(), datetime.now(UTC)

    assert in_thread(run) == (77, datetime(2027, 1, 1, tzinfo=UTC))
    assert time.monotonic() == 0
    assert datetime.now(UTC) == START


def test_a_thread_without_python_code_reads_a_real_clock(wall: HandWall) -> None:
    read: queue.SimpleQueue[float] = queue.SimpleQueue()

    # The only frame of this thread is the one of freezegun's function.
    _thread.start_new_thread(next, (map(read.put, iter(time.monotonic, None)),))
    assert read.get(timeout=10) > 0


def test_a_thread_that_reads_while_the_loop_ends_gets_real_time(wall: HandWall) -> None:
    wall.travel_to("2000-01-01")
    entries = api.freeze_factories[:]
    api.freeze_factories.clear()  # as a thread may find it that is inside of freezegun at this moment
    try:
        monotonic, date = time.monotonic(), datetime.now(UTC)
        seconds = time.time()
    finally:
        api.freeze_factories.extend(entries)
    assert monotonic > 0
    assert abs(date.timestamp() - seconds) < 60
    assert date > START - timedelta(days=1)
