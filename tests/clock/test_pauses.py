from __future__ import annotations

import asyncio

import pytest

from pytest_uno import DeadlockError
from tests.clock.naps import Naps
from tests.clock.running import run_virtual
from tests.clock.virtual_test import in_virtual_time, the_clock


@in_virtual_time
async def test_after_a_leap_everything_is_late() -> None:
    clock = the_clock()
    naps = Naps()
    naps.begin(5, 5, name="slow")
    naps.begin(3, name="quick")
    naps.begin(20, name="later")
    await clock.settle()
    clock.leap(12)
    assert clock.time() == 12
    assert naps.woken == []
    await clock.settle()
    assert naps.woken == [("quick", 12), ("slow", 12)]
    assert clock.time() == 12
    clock.leap(0)
    assert clock.time() == 12
    await asyncio.gather(*naps.tasks)
    assert naps.woken[2:] == [("slow", 17), ("later", 20)]


@in_virtual_time
async def test_a_leap_to_where_doubles_are_coarse() -> None:
    the_clock().leap(1e8)
    assert await asyncio.wait_for(asyncio.sleep(0.001, "woken"), 1) == "woken"


@in_virtual_time
async def test_paused_time_moves_when_told_to() -> None:
    clock = the_clock()
    naps = Naps()
    naps.begin(*[1] * 10)
    with clock.paused() as same:
        assert same is clock
        await clock.settle()
        assert clock.time() == 0
        await clock.advance(2.5)
        assert naps.woken == [("nap", 1), ("nap", 2)]
        await clock.settle()
        assert clock.time() == 2.5
        clock.leap(1)
        await clock.settle()
        assert naps.woken[2:] == [("nap", 3.5)]
        assert clock.time() == 3.5
    await asyncio.sleep(1)
    assert clock.time() == 4.5
    naps.end()


@in_virtual_time
async def test_pauses_nest() -> None:
    clock = the_clock()
    naps = Naps()
    naps.begin(1)
    with clock.paused():
        with clock.paused():
            await clock.settle()
        await clock.settle()
        await asyncio.sleep(0)
        assert clock.time() == 0
    await asyncio.gather(*naps.tasks)
    assert clock.time() == 1


def test_a_pause_ends_with_its_block_even_by_an_error() -> None:
    async def main() -> None:
        with pytest.raises(LookupError), the_clock().paused():
            raise LookupError
        await asyncio.sleep(1)

    assert run_virtual(main)[1].time() == 1


def test_sleeping_in_a_pause_is_a_deadlock() -> None:
    async def main() -> None:
        with the_clock().paused():
            await asyncio.sleep(1)

    with pytest.raises(DeadlockError, match="paused"):
        run_virtual(main)
