from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.leaks.settling import can_turn, reap, settle, settle_in_threads


def test_a_closed_loop_is_left_alone() -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(asyncio.sleep(0))
    loop.run_until_complete(task)
    loop.close()
    assert not can_turn(loop)
    assert settle(loop, lambda: [task]) == [task]
    assert reap(loop, [task]) == [task]


def test_reaping_goes_on_in_real_time() -> None:
    loop = asyncio.new_event_loop()

    async def slow() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            for _ in range(3):
                try:
                    await asyncio.sleep(30)
                except asyncio.CancelledError:
                    continue
            raise ValueError("in cleanup") from None

    task = loop.create_task(slow())
    loop.run_until_complete(asyncio.sleep(0))
    naps: list[float] = []
    assert reap(loop, [task], sleep=naps.append) == []
    assert naps
    assert task.done()
    assert not task._log_traceback
    loop.close()


def test_reaping_is_bounded() -> None:
    loop = asyncio.new_event_loop()
    stop = False

    async def stubborn() -> None:
        while not stop:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                continue

    task = loop.create_task(stubborn())
    loop.run_until_complete(asyncio.sleep(0))
    clock = iter([0.0, 0.1, 0.2, 0.3])
    assert reap(loop, [task], now=lambda: next(clock), sleep=lambda _: None) == [task]
    stop = True
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.close()


@pytest.mark.parametrize("make_loop", [asyncio.SelectorEventLoop, VirtualEventLoop])
@pytest.mark.parametrize("seconds", [0.002, 60])
def test_what_is_being_cancelled_gets_a_moment_of_the_loops_time(
    make_loop: Callable[[], asyncio.AbstractEventLoop], seconds: float
) -> None:
    loop = make_loop()

    async def end_slowly() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(seconds)

    task = loop.create_task(end_slowly())
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    left = settle(loop, lambda: [] if task.done() else [task])
    assert left == ([task] if seconds > 1 else [])
    assert reap(loop, left) == []
    loop.close()


def test_what_another_thread_makes_gets_a_moment() -> None:
    parked = threading.Event()
    thread = threading.Thread(target=parked.wait)
    thread.start()
    naps: list[float] = []
    assert settle_in_threads(
        ["used", "kept"], lambda thing: thing == "kept" or len(naps) < 3, sleep=naps.append
    ) == ["kept"]
    assert 0.01 < sum(naps) < 0.1
    parked.set()
    thread.join()


def test_without_a_suspect_nobody_waits() -> None:
    naps: list[float] = []
    assert settle_in_threads([], bool, sleep=naps.append) == []
    assert naps == []
