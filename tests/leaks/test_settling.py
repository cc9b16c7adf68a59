from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.leaks.settling import can_turn, reap, settle, settle_in_threads, settle_in_time


def cancel_with_clean_up(
    loop: asyncio.AbstractEventLoop, clean_up: Callable[[], Coroutine[Any, Any, None]]
) -> asyncio.Task[None]:
    """Return a task of the loop that was cancelled just now and has its clean-up before it."""

    async def work() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            await clean_up()

    task = loop.create_task(work())
    loop.run_until_complete(asyncio.sleep(0))
    task.cancel()
    return task


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
    task = cancel_with_clean_up(loop, lambda: asyncio.sleep(seconds))
    left = settle(loop, lambda: [] if task.done() else [task])
    assert left == ([task] if seconds > 1 else [])
    assert reap(loop, left) == []
    loop.close()


@pytest.mark.parametrize("make_loop", [asyncio.SelectorEventLoop, VirtualEventLoop])
def test_a_busy_machine_takes_nothing_away_from_what_is_being_cancelled(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    loop = make_loop()

    async def sleep_thrice() -> None:
        for _ in range(3):
            await asyncio.sleep(0.001)
            await asyncio.sleep(0)

    task = cancel_with_clean_up(loop, sleep_thrice)
    naps: list[float] = []

    def oversleep(seconds: float) -> None:
        naps.append(seconds)
        time.sleep(0.025)

    assert settle(loop, lambda: [] if task.done() else [task], sleep=oversleep) == []
    assert len(naps) > 1
    loop.close()


def test_the_grace_of_a_virtual_loop_is_the_same_however_long_its_naps_take() -> None:
    loop = VirtualEventLoop()
    task = cancel_with_clean_up(loop, lambda: asyncio.sleep(0.1))
    assert settle(loop, lambda: [] if task.done() else [task], sleep=lambda _: time.sleep(0.006)) == [task]
    assert loop.time() < 0.1
    assert reap(loop, [task]) == []
    loop.close()


def test_what_ends_in_one_long_nap_gets_turns_until_that_is_seen() -> None:
    loop = asyncio.new_event_loop()
    moments = iter([0.0, 9.0] * 20)
    others_end = asyncio.Event()

    async def end_in_turns() -> None:
        await others_end.wait()
        for _ in range(5):
            await asyncio.sleep(0)

    task = loop.create_task(end_in_turns())

    def sleep(_seconds: float) -> None:
        others_end.set()

    def pending() -> list[object]:
        return [] if task.done() else [task]

    assert settle_in_time(loop, pending, now=lambda: next(moments), sleep=sleep) == []
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
