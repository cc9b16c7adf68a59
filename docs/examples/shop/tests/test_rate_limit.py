"""The rate limit: minutes of waiting in which nobody waits."""

from __future__ import annotations

import asyncio

import pytest
from pytest_uno.clock import VirtualClock

from shop.rate_limit import RateLimit

pytestmark = pytest.mark.uno_async


async def test_turns_beyond_the_limit_wait_for_the_next_minute(uno_clock: VirtualClock) -> None:
    limit = RateLimit(10, per=60)
    moments: list[float] = []
    for _ in range(25):
        await limit.wait_for_turn()
        moments.append(uno_clock.elapsed)

    assert moments == [0] * 10 + [60] * 10 + [120] * 5


async def test_no_minute_has_more_turns_than_allowed(uno_clock: VirtualClock) -> None:
    limit = RateLimit(10, per=60)
    moments: list[float] = []
    for _ in range(120):
        await limit.wait_for_turn()
        moments.append(uno_clock.elapsed)
        await asyncio.sleep(4.5)

    # Six seconds a turn in the long run, however the turns fall at first.
    assert moments[-1] == pytest.approx(119 * 6, abs=60)
    assert all(later - earlier >= 60 for earlier, later in zip(moments, moments[10:], strict=False))


async def test_who_came_first_goes_first() -> None:
    limit = RateLimit(1, per=60)
    served: list[str] = []

    async def come(customer: str, at: float) -> None:
        await asyncio.sleep(at)
        await limit.wait_for_turn()
        served.append(customer)

    async with asyncio.TaskGroup() as group:
        # Bob comes at the very moment at which the turn that Ada waits for is free, and wakes before her.
        group.create_task(come("Bob", at=60))
        assert limit.try_turn() == 0
        group.create_task(come("Ada", at=1))

    assert served == ["Ada", "Bob"]


async def test_who_does_not_wait_is_told_for_how_long(uno_clock: VirtualClock) -> None:
    limit = RateLimit(2, per=60)
    assert limit.try_turn() == 0
    await uno_clock.advance(20)
    assert limit.try_turn() == 0

    assert limit.try_turn() == 40
    await uno_clock.advance(40)
    assert limit.try_turn() == 0
    assert limit.try_turn() == 20


async def test_a_turn_that_was_refused_does_not_count(uno_clock: VirtualClock) -> None:
    limit = RateLimit(1, per=60)
    limit.try_turn()
    for _ in range(59):
        await uno_clock.advance(1)
        assert limit.try_turn() > 0

    await uno_clock.advance(1)

    assert limit.try_turn() == 0
