from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_uno.clock import VirtualEventLoop
from tests.clock.running import run_virtual
from tests.clock.virtual_test import in_virtual_time, the_clock

YEAR = 365 * 86400.0

ORDINARY = st.floats(min_value=0, max_value=4e6)
"""Where a double carries nanoseconds."""

MOMENTS = st.one_of(ORDINARY, st.floats(min_value=4e6, max_value=4e9))
"""The last are times of the Unix epoch."""


def now() -> float:
    return asyncio.get_running_loop().time()


# ------------------------------------------------------------------ the order of equal deadlines


@in_virtual_time
async def test_equal_sleeps_end_in_the_order_they_began() -> None:
    order: list[int] = []

    async def nap(number: int) -> None:
        await asyncio.sleep(1)
        order.append(number)

    await asyncio.gather(*(nap(number) for number in range(50)))
    assert order == list(range(50))


@in_virtual_time
async def test_cancelled_timers_between_leave_the_order_alone() -> None:
    loop = asyncio.get_running_loop()
    order: list[int] = []
    timers = [loop.call_at(1, order.append, number) for number in range(300)]
    kept = [number for number in range(300) if number % 3 == 1]
    for number in set(range(300)).difference(kept):  # more than half of many: asyncio rebuilds its heap
        timers[number].cancel()
    await asyncio.sleep(1)
    assert order == kept


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(min_value=0, max_value=4), st.booleans()), max_size=60))
def test_timers_run_by_deadline_and_then_by_age(timers: list[tuple[int, bool]]) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        order: list[int] = []
        handles = [loop.call_at(when, order.append, n) for n, (when, _) in enumerate(timers)]
        for handle, (_, cancelled) in zip(handles, timers, strict=True):
            if cancelled:
                handle.cancel()
        await asyncio.sleep(5)
        return order

    kept = [n for n, (_, cancelled) in enumerate(timers) if not cancelled]
    assert run_virtual(main)[0] == sorted(kept, key=lambda n: timers[n][0])


@in_virtual_time
async def test_deadlines_that_are_equal_by_sum_are_equal() -> None:
    order: list[str] = []

    async def nap(name: str, *delays: float) -> None:
        for delay in delays:
            await asyncio.sleep(delay)
        order.append(name)
        assert now() == 0.3

    await asyncio.gather(nap("in steps", 0.1, 0.2), nap("at once", 0.3))
    assert order == ["at once", "in steps"], "the timer of the second step is the youngest"


@in_virtual_time
async def test_many_small_sleeps_add_up() -> None:
    for _ in range(1000):
        await asyncio.sleep(0.1)
    assert now() == 100


# ------------------------------------------------------------------ exact deadlines


@in_virtual_time
async def test_three_years() -> None:
    await asyncio.sleep(3 * YEAR)
    assert now() == 3 * YEAR
    assert the_clock().jumps == 1
    for _ in range(100):
        await asyncio.sleep(0.001)
    assert now() == pytest.approx(3 * YEAR + 0.1, abs=1e-6)
    assert the_clock().jumps == 101


@pytest.mark.parametrize("delay", [1e-17, 5e-324, 1e-10])
@pytest.mark.parametrize("start", [0.0, 0.1, 1000.0])
def test_the_smallest_sleep_takes_a_nanosecond(start: float, delay: float) -> None:
    async def main() -> float:
        await asyncio.sleep(delay)
        return now()

    moment, clock = run_virtual(main, start=start)
    assert moment == pytest.approx(start + 1e-9, rel=0, abs=math.ulp(start))
    assert clock.jumps == 1


@settings(deadline=None)
@given(MOMENTS, st.floats(min_value=0, max_value=1, exclude_min=True))
def test_a_positive_delay_moves_time_even_while_others_are_busy(start: float, delay: float) -> None:
    async def main() -> None:
        begun = now()
        napping = asyncio.create_task(asyncio.sleep(delay))
        for _ in range(20):
            await asyncio.sleep(0)
        assert now() == begun
        assert not napping.done()
        await napping
        assert now() > begun

    run_virtual(main, start=start)


@settings(deadline=None)
@given(MOMENTS, st.floats(min_value=0, max_value=1e6))
def test_a_loop_that_sleeps_until_a_deadline_ends(start: float, distance: float) -> None:
    async def main() -> int:
        deadline = now() + distance
        sleeps = 0
        while now() < deadline and sleeps < 10:
            await asyncio.sleep(deadline - now())
            sleeps += 1
        assert now() - deadline <= max(2e-9, 2 * math.ulp(deadline))
        return sleeps

    assert run_virtual(main, start=start)[0] <= 3


@settings(deadline=None)
@given(MOMENTS, st.lists(st.floats(min_value=0, max_value=1e-6), min_size=1, max_size=8))
def test_no_timer_runs_before_its_deadline(start: float, delays: list[float]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        begun = now()
        ran: list[tuple[float, float]] = []

        def note(handle: Callable[[], asyncio.TimerHandle]) -> None:
            ran.append((now(), handle().when()))

        for number, delay in enumerate(delays):
            handles.append(loop.call_at(begun + delay, note, lambda number=number: handles[number]))
        await asyncio.sleep(1)
        assert len(ran) == len(delays)
        for moment, when in ran:
            assert when <= moment <= max(begun, when) + 0.5e-9

    handles: list[asyncio.TimerHandle] = []
    run_virtual(main, start=start)


@settings(deadline=None)
@given(st.floats(min_value=0, max_value=1e6))
def test_a_nanosecond_is_told_from_the_next(start: float) -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        moments: list[float] = []
        begun = now()
        for nanoseconds in range(1, 6):
            loop.call_at(begun + nanoseconds * 1e-9, lambda: moments.append(now()))
        await asyncio.sleep(1)
        return moments

    moments, clock = run_virtual(main, start=start)
    assert len(set(moments)) == 5
    assert clock.jumps == 6


@pytest.mark.parametrize("start", [0.0, 1.7e9])
def test_what_is_due_does_not_move_time(start: float) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        order: list[str] = []
        loop.call_at(loop.time() - 50, order.append, "past")
        loop.call_at(-math.inf, order.append, "ever")
        loop.call_later(-1, order.append, "negative")
        loop.call_later(0, order.append, "now")
        loop.call_soon(order.append, "soon")
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.sleep(-1)
        return order

    order, clock = run_virtual(main, start=start)
    assert order == ["soon", "ever", "past", "negative", "now"]
    assert clock.time() == start
    assert clock.jumps == 0


@in_virtual_time
async def test_only_a_loop_at_rest_moves_time() -> None:
    loop = asyncio.get_running_loop()
    due: list[float] = []
    loop.call_later(1e-9, lambda: due.append(now()))
    for _ in range(1000):
        await asyncio.sleep(0)
    assert (now(), due) == (0, [])


@in_virtual_time
async def test_cancelled_timers_do_not_move_time() -> None:
    loop = asyncio.get_running_loop()
    for number in range(1000):
        loop.call_later(0.001 * number, pytest.fail, "it was cancelled").cancel()
    await asyncio.sleep(2)
    assert now() == 2
    assert the_clock().jumps == 1


@in_virtual_time
async def test_a_sleep_for_ever_in_the_background() -> None:
    forever = asyncio.create_task(asyncio.sleep(math.inf))
    await asyncio.sleep(5)
    assert now() == 5
    assert not forever.done()
    forever.cancel()


@in_virtual_time
async def test_a_wait_of_a_day_and_more_is_one_jump() -> None:
    # asyncio cuts what it waits for in the selector to a day.
    await asyncio.sleep(100 * 86400)
    assert the_clock().jumps == 1


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("method", "moment", "error"),
    [
        ("call_at", None, TypeError),
        ("call_later", None, TypeError),
        ("call_at", math.nan, ValueError),
        ("call_later", math.nan, ValueError),
    ],
)
def test_no_moment(method: str, moment: Any, error: type[Exception]) -> None:
    async def main() -> None:
        with pytest.raises(error, match=r"None|NaN|nan"):
            getattr(asyncio.get_running_loop(), method)(moment, pytest.fail)
        await asyncio.sleep(1)
        assert now() == 1

    run_virtual(main)


@in_virtual_time
async def test_a_sleep_of_no_length() -> None:
    with pytest.raises(ValueError, match=r"NaN|nan"):
        await asyncio.sleep(math.nan)


@in_virtual_time
async def test_debug_mode_checks_timers_as_asyncio_does() -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    caught: list[BaseException] = []

    def call_from_outside() -> None:
        try:
            loop.call_at(1, print)
        except RuntimeError as exc:
            caught.append(exc)

    thread = threading.Thread(target=call_from_outside)
    thread.start()
    thread.join()
    assert "thread" in str(caught[0])
    with pytest.raises(TypeError, match="coroutines cannot be used"):
        loop.call_later(1, now_later)
    with pytest.raises(TypeError, match="callable"):
        loop.call_at(1, 5)  # type: ignore[arg-type]


async def now_later() -> float:
    await asyncio.sleep(1)
    return now()


@pytest.mark.parametrize("method", ["call_at", "call_later"])
def test_debug_mode_says_where_a_timer_was_made(method: str) -> None:
    async def main() -> str:
        asyncio.get_running_loop().set_debug(True)
        handle = getattr(asyncio.get_running_loop(), method)(1, print)
        handle.cancel()
        return repr(handle)

    line = main.__code__.co_firstlineno + 2
    assert f"created at {__file__}:{line}" in run_virtual(main)[0]


@in_virtual_time
async def test_debug_mode_sees_the_same_time() -> None:
    asyncio.get_running_loop().set_debug(True)
    assert await now_later() == 1


def test_a_leap_is_no_slow_callback(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        the_clock().leap(100)
        await asyncio.sleep(100)
        the_clock().leap(100)

    caplog.set_level(logging.WARNING, "asyncio")
    with asyncio.Runner(loop_factory=VirtualEventLoop, debug=True) as runner:
        runner.run(main())
    assert [record.getMessage() for record in caplog.records] == []


# ------------------------------------------------------------------ the handle


@in_virtual_time
async def test_the_handle_is_asyncios() -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.call_at(1, print), loop.call_at(1, print)
    later = loop.call_later(2, print)
    assert isinstance(first, asyncio.TimerHandle)
    assert (first.when(), later.when()) == (1, 2)
    assert sorted([later, second, first]) == [first, second, later]
    assert first < second < later
    for handle in (first, second, later):
        handle.cancel()
        assert handle.cancelled()


@in_virtual_time
async def test_a_timer_runs_in_its_context() -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    seen: list[str] = []
    context = contextvars.copy_context()
    context.run(variable.set, "inside")
    loop = asyncio.get_running_loop()
    loop.call_later(1, lambda: seen.append(variable.get()), context=context)
    loop.call_later(1, lambda: seen.append(variable.get()))
    await asyncio.sleep(2)
    assert seen == ["inside", "outside"]


@in_virtual_time
async def test_an_error_in_a_timer_goes_to_the_exception_handler() -> None:
    loop = asyncio.get_running_loop()
    told: list[object] = []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

    def fail() -> None:
        raise LookupError

    loop.call_later(1, fail)
    await asyncio.sleep(2)
    assert [type(error) for error in told] == [LookupError]


def test_the_smallest_start_that_doubles_resolve_by_two_seconds() -> None:
    # Far beyond any limit of a test: still no endless loop.
    async def main() -> float:
        await asyncio.sleep(0.001)
        return now()

    start = 2.0**53
    moment, _ = run_virtual(main, start=start)
    assert moment == math.nextafter(start, math.inf)
