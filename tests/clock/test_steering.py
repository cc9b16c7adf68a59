from __future__ import annotations

import asyncio
import contextlib
import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_uno.clock import VirtualClock
from pytest_uno.core.errors import ClockError, DeadlockError
from tests.clock.naps import Naps, Trace
from tests.clock.running import run_virtual
from tests.clock.virtual_test import in_virtual_time, the_clock

# ------------------------------------------------------------------ reading


def test_time_and_elapsed() -> None:
    async def main() -> None:
        loop, clock = asyncio.get_running_loop(), the_clock()
        assert clock.time() == loop.time() == clock.start == 1000.1
        assert clock.elapsed == 0
        await asyncio.sleep(0.2)
        assert clock.time() == loop.time() == 1000.3
        assert clock.elapsed == 0.2
        assert clock.is_virtual

    run_virtual(main, start=1000.1)


@in_virtual_time
async def test_jumps_are_counted_and_nothing_holds_a_sleeper() -> None:
    clock = the_clock()
    for _ in range(3):
        await asyncio.sleep(1)
    await asyncio.gather(*(asyncio.sleep(1) for _ in range(10)))
    assert clock.jumps == 4
    assert clock.held == 0
    assert clock.held_by == {}


@in_virtual_time
async def test_the_picture_shows_tasks_and_timers() -> None:
    napping = asyncio.create_task(asyncio.sleep(60), name="napping")
    await the_clock().settle()
    picture = the_clock().picture()
    assert "task 'napping'" in picture
    assert "asyncio.sleep until +60 s" in picture
    assert "60 s" in picture.splitlines()[-1]
    napping.cancel()


@in_virtual_time
async def test_the_picture_says_what_is_known_about_a_task() -> None:
    clock = the_clock()
    clock.describe_task = lambda task: "of the test" if task is asyncio.current_task() else None
    assert "[of the test]" in clock.picture()
    clock.describe_task = None
    assert "[the main task]" in clock.picture()
    assert "no timer" in clock.picture()


@in_virtual_time
async def test_a_clock_begins_anew() -> None:
    clock = the_clock()
    await asyncio.sleep(5)
    clock.deadline = 10
    clock.reset()
    assert (clock.start, clock.time(), clock.elapsed, clock.jumps) == (5, 5, 0, 0)
    await asyncio.sleep(10)
    assert clock.elapsed == 10


# ------------------------------------------------------------------ advance


@in_virtual_time
async def test_advance_fires_what_is_on_the_way() -> None:
    naps = Naps()
    naps.begin(1, 3, 1, name="one")
    naps.begin(2, 3, 0.1, name="two")
    naps.begin(5.000000001, name="three")
    await the_clock().advance(5)
    assert naps.woken == [("one", 1), ("two", 2), ("one", 4), ("two", 5), ("one", 5)]
    assert the_clock().time() == 5
    await the_clock().advance(1)
    assert naps.woken[5:] == [("three", 5.000000001), ("two", 5.1)]
    assert the_clock().time() == 6


@in_virtual_time
async def test_what_the_last_moment_started_has_run_until_it_waits() -> None:
    event = asyncio.Event()
    log: list[str] = []

    async def ring() -> None:
        await asyncio.sleep(5)
        event.set()
        await asyncio.sleep(0)
        log.append("rang")
        await asyncio.sleep(1e-9)
        log.append("too late")

    async def listen() -> None:
        await event.wait()
        for _ in range(100):
            await asyncio.sleep(0)
        log.append("heard")

    tasks = [asyncio.create_task(ring()), asyncio.create_task(listen())]
    await the_clock().advance(5)
    assert log == ["rang", "heard"]
    await asyncio.gather(*tasks)


@in_virtual_time
async def test_advance_goes_exactly_as_far_as_it_says() -> None:
    for _ in range(10):
        await the_clock().advance(0.1)
    assert the_clock().time() == 1
    await the_clock().advance(3600)
    assert the_clock().time() == 3601
    assert the_clock().jumps == 0


@in_virtual_time
async def test_advance_by_nothing_runs_what_is_due() -> None:
    naps = Naps()
    naps.begin(0, 0, 0, 1e-9)
    await the_clock().advance(0)
    assert naps.woken == [("nap", 0)] * 3
    naps.end()


@in_virtual_time
async def test_advances_at_the_same_time() -> None:
    clock = the_clock()
    naps = Naps()
    naps.begin(*[1] * 10)
    arrived: Trace = []

    async def advance(seconds: float, name: str) -> None:
        await clock.advance(seconds)
        arrived.append((name, clock.time()))

    await asyncio.gather(advance(5, "long"), advance(2, "short"), advance(5, "as long"))
    assert arrived == [("short", 2), ("long", 5), ("as long", 5)]
    assert naps.woken == [("nap", second) for second in range(1, 6)]
    naps.end()


@in_virtual_time
async def test_an_advance_within_an_advance() -> None:
    clock = the_clock()
    arrived: Trace = []

    async def inner() -> None:
        await asyncio.sleep(3)
        await clock.advance(4)
        arrived.append(("inner", clock.time()))
        await clock.advance(4)
        arrived.append(("inner", clock.time()))

    task = asyncio.create_task(inner())
    await clock.advance(10)
    arrived.append(("outer", clock.time()))
    await task
    assert arrived == [("inner", 7), ("outer", 10), ("inner", 11)]


@in_virtual_time
async def test_a_cancelled_advance_leaves_nothing_behind() -> None:
    clock = the_clock()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            await clock.advance(10)
    assert clock.time() == 3
    with clock.paused():
        await clock.advance(1)
        assert clock.time() == 4
    await asyncio.sleep(20)
    assert clock.time() == 24
    assert clock.jumps == 2


def test_a_cancelled_advance_moves_time_no_further() -> None:
    async def main() -> None:
        clock = the_clock()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await clock.advance(10)
        with clock.paused():
            await asyncio.sleep(1)

    with pytest.raises(DeadlockError, match=r"virtual time 3 s"):
        run_virtual(main)


@in_virtual_time
async def test_an_advance_cancelled_by_the_timer_of_its_target() -> None:
    clock = the_clock()
    advancing = asyncio.create_task(clock.advance(5))
    asyncio.get_running_loop().call_later(5, advancing.cancel)
    await asyncio.wait([advancing])
    assert advancing.cancelled()
    assert clock.time() == 5


@st.composite
def programs(draw: st.DrawFn) -> list[list[float]]:
    delays = st.one_of(st.sampled_from([0.1, 0.2, 0.3, 1, 2.5]), st.floats(min_value=0, max_value=3))
    return draw(st.lists(st.lists(delays, min_size=1, max_size=5), max_size=6))


def trace_of(program: list[list[float]], *steps: float) -> tuple[Trace, float]:
    async def main() -> tuple[Trace, float]:
        naps = Naps()
        for number, delays in enumerate(program):
            naps.begin(*delays, name=str(number))
        with the_clock().paused():
            for step in steps:
                await the_clock().advance(step)
            result = list(naps.woken), the_clock().time()
        naps.end()
        return result

    return run_virtual(main)[0]


MILLISECONDS = st.integers(min_value=0, max_value=5000)


@settings(deadline=None)
@given(programs(), MILLISECONDS, MILLISECONDS)
def test_two_advances_are_one(program: list[list[float]], first: int, second: int) -> None:
    at_once = trace_of(program, (first + second) / 1000)
    assert trace_of(program, first / 1000, second / 1000) == at_once


@settings(deadline=None)
@given(programs())
def test_advancing_is_sleeping(program: list[list[float]]) -> None:
    async def main() -> Trace:
        naps = Naps()
        for number, delays in enumerate(program):
            naps.begin(*delays, name=str(number))
        await asyncio.sleep(100)
        return naps.woken

    assert run_virtual(main)[0] == trace_of(program, 100)[0]


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("method", ["advance", "leap"])
@pytest.mark.parametrize("seconds", [-1, -1e-9, math.nan, math.inf, -math.inf])
def test_time_moves_forward_by_a_number(method: str, seconds: float) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match=rf"{method}\({seconds}\): time moves forward only"):
            awaitable = getattr(the_clock(), method)(seconds)
            await awaitable
        await asyncio.sleep(1)
        assert the_clock().time() == 1

    run_virtual(main)


@pytest.mark.parametrize("name", ["advance", "settle"])
def test_a_clock_is_steered_on_its_own_loop(name: str) -> None:
    async def other(clock: VirtualClock) -> None:
        with pytest.raises(ClockError, match=rf"{name}\(\) was awaited on another loop"):
            await (clock.advance(1) if name == "advance" else clock.settle())

    async def main() -> None:
        clock = the_clock()
        thread = threading.Thread(target=run_virtual, args=(lambda: other(clock),))
        thread.start()
        thread.join()
        await asyncio.sleep(1)

    run_virtual(main)


def test_the_clock_of_a_loop_that_is_gone() -> None:
    async def main() -> VirtualClock:
        await asyncio.sleep(5)
        return the_clock()

    clock, _ = run_virtual(main)
    assert clock.time() == 5
    with pytest.raises(ClockError):
        clock.picture()
    with pytest.raises(ClockError):
        asyncio.run(clock.advance(1))


# ------------------------------------------------------------------ settle


@in_virtual_time
async def test_settle_waits_for_others_and_not_for_time() -> None:
    event = asyncio.Event()
    log: list[str] = []

    async def chatter(name: str, turns: int) -> None:
        await event.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        log.append(name)
        await asyncio.sleep(1)
        log.append("too late")

    tasks = [asyncio.create_task(chatter("one", 500)), asyncio.create_task(chatter("two", 50))]
    await the_clock().settle()
    assert log == []
    event.set()
    await the_clock().settle()
    assert log == ["two", "one"]
    assert the_clock().time() == 0
    await asyncio.gather(*tasks)


@in_virtual_time
async def test_those_who_settle_do_not_wait_for_each_other() -> None:
    settled: list[int] = []

    async def settle(number: int) -> None:
        await the_clock().settle()
        settled.append(number)

    await asyncio.gather(*(settle(number) for number in range(3)))
    assert settled == [0, 1, 2]
    assert the_clock().jumps == 0


@in_virtual_time
async def test_settle_comes_before_an_advance_arrives() -> None:
    order: list[str] = []

    async def settle() -> None:
        await the_clock().settle()
        order.append("settled")

    task = asyncio.create_task(settle())
    await the_clock().advance(0)
    order.append("arrived")
    await task
    assert order == ["settled", "arrived"]


@in_virtual_time
async def test_a_cancelled_settle_leaves_nothing_behind() -> None:
    settling = asyncio.create_task(the_clock().settle())
    await asyncio.sleep(0)
    settling.cancel()
    await asyncio.sleep(1)
    await the_clock().settle()
    assert settling.cancelled()
    assert the_clock().time() == 1
