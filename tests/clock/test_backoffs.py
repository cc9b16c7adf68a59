from __future__ import annotations

import asyncio
from typing import Any

import pytest
import stamina
import tenacity

from pytest_uno import retry
from tests.clock.virtual_test import in_virtual_time, the_clock


def now() -> float:
    return asyncio.get_running_loop().time()


class Flaky:
    """Fails until its last call, and knows when it was called."""

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self.called: list[float] = []

    async def __call__(self) -> str:
        self.called.append(now())
        if len(self.called) < self._calls:
            raise ConnectionError
        return "done"


@in_virtual_time
async def test_our_own_retry_pauses_exactly() -> None:
    flaky = Flaky(6)

    @retry(6, retry_exceptions=ConnectionError, base_delay=0.1, max_delay=1)
    async def call() -> str:
        return await flaky()

    assert await call() == "done"
    assert flaky.called == [0, 0.1, 0.3, 0.7, 1.5, 2.5]


@in_virtual_time
async def test_our_own_retry_keeps_its_budget() -> None:
    flaky = Flaky(1000)

    @retry(1000, base_delay=30, max_delay=30, backoff_strategy="constant", timeout=3600)
    async def call() -> str:
        return await flaky()

    with pytest.raises(ConnectionError):
        await call()
    assert flaky.called == [30 * attempt for attempt in range(121)]


@in_virtual_time
async def test_tenacity_pauses_exactly() -> None:
    flaky = Flaky(6)
    async for attempt in tenacity.AsyncRetrying(
        wait=tenacity.wait_exponential(multiplier=0.1, max=1), stop=tenacity.stop_after_attempt(6)
    ):
        with attempt:
            assert await flaky() == "done"
    assert flaky.called == [0, 0.1, 0.3, 0.7, 1.5, 2.5]


@in_virtual_time
async def test_tenacity_gives_up() -> None:
    flaky = Flaky(100)
    call = tenacity.retry(wait=tenacity.wait_fixed(0.1), stop=tenacity.stop_after_attempt(11))(flaky.__call__)
    with pytest.raises(tenacity.RetryError):
        await call()
    assert now() == 1


@in_virtual_time
async def test_stamina_pauses_exactly() -> None:
    flaky = Flaky(6)

    @stamina.retry(on=ConnectionError, attempts=6, timeout=None, wait_initial=0.1, wait_max=1, wait_jitter=0)
    async def call() -> str:
        return await flaky()

    assert await call() == "done"
    assert flaky.called == [0, 0.1, 0.3, 0.7, 1.5, 2.5]


# ------------------------------------------------------------------ periodic tasks


@in_virtual_time
async def test_a_periodic_task_does_not_drift() -> None:
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.1)
            ticks.append(now())

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(100)
    assert ticks[:999] == [round(number * 0.1, 9) for number in range(1, 1000)]
    ticker.cancel()


@in_virtual_time
async def test_a_periodic_timer_at_moments_it_computes() -> None:
    loop = asyncio.get_running_loop()
    ticks: list[float] = []

    def tick(number: int) -> None:
        ticks.append(loop.time())
        if number < 500:
            loop.call_at(number / 3, tick, number + 1)

    tick(1)
    await asyncio.sleep(1000)
    assert ticks == [round(number / 3, 9) for number in range(500)]


@in_virtual_time
async def test_two_periods_meet_where_they_should() -> None:
    trace: list[tuple[float, str]] = []

    async def tick(name: str, period: float) -> None:
        while True:
            await asyncio.sleep(period)
            trace.append((now(), name))

    tickers: list[asyncio.Task[Any]] = [
        asyncio.create_task(tick("thirds", 0.3)),
        asyncio.create_task(tick("fifths", 0.5)),
    ]
    await asyncio.sleep(3.1)
    assert [name for moment, name in trace if moment == 1.5] == ["fifths", "thirds"]
    assert [name for moment, name in trace if moment == 3] == ["fifths", "thirds"]
    assert len(trace) == 16
    assert the_clock().jumps == 15
    for ticker in tickers:
        ticker.cancel()
