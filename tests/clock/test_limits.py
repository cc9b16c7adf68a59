"""How far a run may go: virtual seconds, jumps, real seconds without news, and the deadline."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from pytest_uno import ClockError, ClockLimitError, ClockStallError, ClockTimeoutError
from pytest_uno.clock import Budgets, VirtualClock, VirtualEventLoop
from tests.clock.running import run_virtual
from tests.clock.virtual_test import WatchedSelector, in_virtual_time, the_clock


async def idle() -> None:
    await asyncio.Event().wait()


async def tick(period: float = 1) -> None:
    while True:
        await asyncio.sleep(period)


def failure_of(
    error: type[ClockError], main: Callable[[], Awaitable[object]], **options: Any
) -> tuple[str, VirtualClock]:
    """Return the message of the failure that `main` ends in, and the clock."""

    async def call() -> None:
        await main()

    with asyncio.Runner(loop_factory=lambda: VirtualEventLoop(**options)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualEventLoop)
        with pytest.raises(error) as caught:
            runner.run(call())
    assert type(caught.value) is error
    return str(caught.value), loop.clock


# ------------------------------------------------------------------ virtual seconds and jumps


async def wait_next_to_a_ticker() -> None:
    ticker = asyncio.create_task(tick(), name="ticker")
    await idle()
    await ticker


def test_virtual_time_has_a_limit() -> None:
    text, clock = failure_of(ClockLimitError, wait_next_to_a_ticker, budgets=Budgets(limit=100))
    assert "limit of 100 s at 101 s" in text
    assert "task 'ticker' (tick) waits for asyncio.sleep until +1 s" in text
    assert "[the main task]" in text
    assert "messages.html#clock-limit" in text
    assert clock.time() == 100


def test_the_limit_counts_from_the_start() -> None:
    _, clock = failure_of(ClockLimitError, wait_next_to_a_ticker, start=5000, budgets=Budgets(limit=100))
    assert clock.time() == 5100


def test_what_lies_within_the_limit_runs() -> None:
    async def main() -> None:
        await asyncio.sleep(100)

    assert run_virtual(main, budgets=Budgets(limit=100))[1].time() == 100


def test_jumps_have_a_limit() -> None:
    text, clock = failure_of(ClockLimitError, wait_next_to_a_ticker, budgets=Budgets(max_jumps=100))
    assert "virtual time jumped 100 times" in text
    assert "task 'ticker'" in text
    assert clock.time() == 100


def test_as_many_jumps_as_allowed() -> None:
    async def main() -> None:
        for _ in range(100):
            await asyncio.sleep(1)

    assert run_virtual(main, budgets=Budgets(max_jumps=100))[1].jumps == 100


def test_the_jumps_allowed_follow_budgets_that_are_replaced() -> None:
    async def main() -> None:
        the_clock().budgets = replace(the_clock().budgets, max_jumps=100)
        await wait_next_to_a_ticker()

    assert failure_of(ClockLimitError, main)[1].time() == 100


def test_who_advances_for_ever_passes_the_limit() -> None:
    async def main() -> None:
        while True:
            await the_clock().advance(60)

    text, clock = failure_of(ClockLimitError, main, budgets=Budgets(limit=3600))
    assert "limit of 3600 s at 3660 s" in text
    assert clock.time() == 3600


def test_the_clean_up_may_take_some_jumps() -> None:
    log: list[float] = []

    async def main() -> None:
        try:
            await tick()
        finally:
            for _ in range(1000):
                await asyncio.sleep(1)
            log.append(the_clock().time())

    failure_of(ClockLimitError, main, budgets=Budgets(max_jumps=100))
    assert log == [1100]


def test_the_clean_up_may_take_no_time_beyond_the_limit() -> None:
    log: list[str] = []

    async def main() -> None:
        try:
            await tick()
        finally:
            await asyncio.sleep(0)
            log.append("cleaned up")
            await asyncio.sleep(1)
            log.append("too late")

    failure_of(ClockLimitError, main, budgets=Budgets(limit=100))
    assert log == ["cleaned up"]


@pytest.mark.parametrize("budgets", [Budgets(limit=100), Budgets(max_jumps=100)])
def test_who_swallows_the_cancellation_is_stopped_as_well(budgets: Budgets) -> None:
    async def main() -> None:
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await tick()

    failure_of(ClockLimitError, main, budgets=budgets)


def test_each_clock_has_budgets_of_its_own_that_can_be_replaced() -> None:
    async def main() -> None:
        clock = the_clock()
        clock.budgets = replace(clock.budgets, limit=7)
        await tick()

    assert failure_of(ClockLimitError, main)[1].time() == 7
    assert Budgets().limit == 10 * 365 * 86400
    with pytest.raises(FrozenInstanceError):
        Budgets().limit = 5  # type: ignore[misc]


# ------------------------------------------------------------------ real seconds


def test_polling_for_what_only_a_timer_brings() -> None:
    async def main() -> None:
        event = asyncio.Event()
        asyncio.get_running_loop().call_later(1, event.set)
        while not event.is_set():
            await asyncio.sleep(0)

    text, clock = failure_of(ClockStallError, main, budgets=Budgets(busy_limit=0.01))
    assert "never idle for 0.01 s of real time" in text
    assert "sleep(0)" in text
    assert "in test_polling_for_what_only_a_timer_brings.<locals>.main: await asyncio.sleep(0)" in text
    assert "messages.html#clock-busy" in text
    assert clock.time() == 0


def test_polling_without_a_timer_is_no_stall() -> None:
    # Only a thread, or the polling task itself, could end it: time would be of no help.
    async def main() -> None:
        for _ in range(50_000):
            await asyncio.sleep(0)

    run_virtual(main, budgets=Budgets(busy_limit=0))


def test_busy_with_rests_is_no_stall() -> None:
    async def main() -> None:
        for _ in range(10):
            for _ in range(5_000):
                await asyncio.sleep(0)
            await asyncio.sleep(1)

    run_virtual(main, budgets=Budgets(busy_limit=0))


def test_nothing_comes_from_outside() -> None:
    async def main() -> None:
        with the_clock().hold("the moon"):
            await asyncio.sleep(1)

    text, clock = failure_of(ClockStallError, main, budgets=Budgets(stall=0.02))
    assert "0.02 s of real time; waited for: the moon" in text
    assert "messages.html#clock-stall" in text
    assert clock.time() == 0
    assert clock.held >= 0.02


def test_a_ticker_is_no_news_from_outside() -> None:
    finish = threading.Event()

    async def main() -> None:
        working = asyncio.get_running_loop().run_in_executor(None, finish.wait, 30)
        ticker = asyncio.create_task(tick(0.001))
        try:
            async with asyncio.timeout(30):
                await working
        finally:
            finish.set()
            ticker.cancel()

    text, clock = failure_of(ClockStallError, main, budgets=Budgets(patience=0.01, stall=0.1))
    assert "0.1 s of real time; waited for: executor or thread" in text
    assert clock.time() < 30


def test_each_piece_of_news_begins_the_time_to_a_stall_anew() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(12):
            called = asyncio.Event()
            timer = threading.Timer(0.1, loop.call_soon_threadsafe, (called.set,))
            timer.start()
            with the_clock().hold("the moon"):
                await called.wait()

    # A busy machine may be late with each piece by nearly a second.
    assert run_virtual(main, budgets=Budgets(stall=1.0))[1].held > 1.0


def test_a_thread_that_works_for_longer_than_its_patience_but_less_than_a_stall() -> None:
    selector = WatchedSelector()
    finish = threading.Event()

    async def main() -> str:
        def work() -> str:
            assert finish.wait(30)
            return "done"

        working = asyncio.get_running_loop().run_in_executor(None, work)
        finish.set()
        return await working

    assert run_virtual(main, selector=selector, budgets=Budgets(patience=0, stall=60))[0] == "done"


# ------------------------------------------------------------------ the deadline


def test_what_is_not_finished_at_the_deadline_fails() -> None:
    log: list[float] = []

    async def nap(delay: float) -> None:
        await asyncio.sleep(delay)
        log.append(the_clock().time())

    async def main() -> None:
        the_clock().deadline = 5
        naps = [asyncio.create_task(nap(delay), name=f"nap {delay}") for delay in (4, 5, 5.000000001)]
        await asyncio.gather(*naps)

    text, clock = failure_of(ClockTimeoutError, main)
    assert "not finished after 5 s of virtual time" in text
    assert "task 'nap 5.000000001'" in text
    assert "messages.html#clock-timeout" in text
    assert log == [4, 5]
    assert clock.time() == 5
    assert issubclass(ClockTimeoutError, TimeoutError)


@in_virtual_time
async def test_what_ends_at_the_deadline_is_in_time() -> None:
    clock = the_clock()
    clock.deadline = 5
    await asyncio.sleep(5)
    clock.deadline = None
    await asyncio.sleep(5)
    assert clock.time() == 10


def test_an_advance_ends_at_the_deadline() -> None:
    async def main() -> None:
        the_clock().deadline = 5
        await the_clock().advance(10)

    assert failure_of(ClockTimeoutError, main)[1].time() == 5


def test_an_advance_to_the_deadline_is_in_time() -> None:
    async def main() -> None:
        the_clock().deadline = 5
        await the_clock().advance(5)

    assert run_virtual(main)[1].time() == 5


def test_the_clean_up_after_a_deadline_may_take_time() -> None:
    log: list[float] = []

    async def main() -> None:
        the_clock().deadline = 5
        try:
            await tick(2)
        finally:
            await asyncio.sleep(100)
            log.append(the_clock().time())

    failure_of(ClockTimeoutError, main)
    assert log == [105]


def test_a_leap_over_the_deadline() -> None:
    async def main() -> None:
        the_clock().deadline = 5
        the_clock().leap(60)
        await asyncio.sleep(1)

    assert failure_of(ClockTimeoutError, main)[1].time() == 60


def test_a_leap_over_the_deadline_while_a_thread_works() -> None:
    release = threading.Event()
    cancelled_at: list[float] = []

    async def main() -> None:
        the_clock().deadline = 5
        asyncio.get_running_loop().call_soon(the_clock().leap, 10)
        try:
            await asyncio.to_thread(release.wait, 30)
        finally:
            cancelled_at.append(the_clock().time())
            release.set()

    failure_of(ClockTimeoutError, main, budgets=Budgets(patience=0, stall=60))
    assert cancelled_at == [10]


def test_a_time_limit_of_the_deadlines_length_comes_first() -> None:
    async def main() -> str:
        the_clock().deadline = 5
        try:
            async with asyncio.timeout(5):
                await idle()
        except TimeoutError:
            return "timed out"
        return "not reached"

    assert run_virtual(main)[0] == "timed out"


def test_a_swallowed_deadline() -> None:
    async def main() -> None:
        the_clock().deadline = 5
        with contextlib.suppress(asyncio.CancelledError):
            await tick()

    failure_of(ClockTimeoutError, main)
