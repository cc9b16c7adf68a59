"""What holds the clock by request, and the change between virtual and real time."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import threading
import types
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from pytest_uno.clock import Budgets, VirtualClock, VirtualEventLoop, register_external_package
from pytest_uno.core.errors import ClockError, ClockStallError, ClockTimeoutError
from tests.clock.running import run_virtual
from tests.clock.virtual_test import WatchedSelector, in_virtual_time, the_clock


@contextlib.contextmanager
def once_the_loop_waits(selector: WatchedSelector, act: Callable[[], object]) -> Iterator[None]:
    """Call a function in a thread when the loop begins to wait in reality."""

    def wait_and_act() -> None:
        assert selector.waits.wait(30)
        act()

    thread = threading.Thread(target=wait_and_act)
    selector.waits.clear()
    thread.start()
    try:
        yield
    finally:
        thread.join()


# ------------------------------------------------------------------ hold


def test_time_stands_still_until_a_thread_lets_go() -> None:
    selector = WatchedSelector()

    async def main() -> None:
        loop, clock = asyncio.get_running_loop(), the_clock()
        released: list[float] = []
        napping = asyncio.create_task(asyncio.sleep(1))
        hold = contextlib.ExitStack()
        hold.enter_context(clock.hold("the printer"))

        def release() -> None:
            released.append(clock.time())
            hold.close()

        with once_the_loop_waits(selector, lambda: loop.call_soon_threadsafe(release)):
            await napping
        assert released == [0]
        assert clock.time() == 1
        assert clock.held > 0
        assert clock.held_by["the printer"] > 0

    run_virtual(main, selector=selector)


def test_a_hold_has_no_end_of_patience() -> None:
    selector = WatchedSelector()

    async def main() -> None:
        loop, clock = asyncio.get_running_loop(), the_clock()
        hold = contextlib.ExitStack()
        hold.enter_context(clock.hold())
        waits = 0

        def look_again() -> None:
            nonlocal waits
            waits += 1
            if waits == 5:
                hold.close()
            else:
                selector.waits.clear()
                again.set()

        def poke() -> None:
            for _ in range(5):
                assert selector.waits.wait(30)
                again.clear()
                loop.call_soon_threadsafe(look_again)
                again.wait(30 if waits < 4 else 0)

        again = threading.Event()
        poking = threading.Thread(target=poke)
        selector.waits.clear()
        poking.start()
        await asyncio.sleep(1)
        assert clock.time() == 1
        assert waits == 5
        poking.join()

    run_virtual(main, selector=selector, budgets=Budgets(patience=0, quiet=0))


@in_virtual_time
async def test_a_hold_that_has_ended_holds_nothing() -> None:
    clock = the_clock()
    with pytest.raises(LookupError), clock.hold("short") as same, clock.hold("short"):
        assert same is clock
        raise LookupError
    await asyncio.sleep(1)
    assert clock.time() == 1
    assert clock.held == 0


def test_a_held_clock_settles_no_earlier() -> None:
    selector = WatchedSelector()

    async def main() -> None:
        loop, clock = asyncio.get_running_loop(), the_clock()
        log: list[str] = []
        hold = contextlib.ExitStack()
        hold.enter_context(clock.hold())

        def release() -> None:
            log.append("released")
            hold.close()

        with once_the_loop_waits(selector, lambda: loop.call_soon_threadsafe(release)):
            await clock.settle()
            log.append("settled")
        assert log == ["released", "settled"]
        assert clock.time() == 0

    run_virtual(main, selector=selector)


# ------------------------------------------------------------------ background


def outside_wait(package: str) -> Callable[[], Coroutine[Any, Any, object]]:
    """Return a coroutine function of a package: it waits for a future that nobody finishes."""
    module = types.ModuleType(f"{package}.client")
    source = "async def wait(loop):\n    await loop.create_future()\n"
    exec(compile(source, f"{package}/client.py", "exec"), vars(module))
    wait: Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, object]] = module.__dict__["wait"]
    return lambda: wait(asyncio.get_running_loop())


PATIENCE = Budgets(patience=0.01, quiet=0)


def held_by_a_wait_of(package: str, *, is_background: bool) -> VirtualClock:
    wait = outside_wait(package)

    async def main() -> None:
        waiting = asyncio.create_task(wait())
        if is_background:
            assert the_clock().background(waiting) is waiting
        await asyncio.sleep(0.001)
        await asyncio.sleep(0.001)
        waiting.cancel()

    return run_virtual(main, budgets=PATIENCE)[1]


def test_the_futures_of_an_external_package_hold_the_clock() -> None:
    assert held_by_a_wait_of("some_driver", is_background=False).held == 0
    register_external_package("some_driver")
    clock = held_by_a_wait_of("some_driver", is_background=False)
    assert clock.held >= 0.01
    assert clock.held_by == {"client.py:wait": clock.held}


def test_a_task_in_the_background_holds_nothing() -> None:
    register_external_package("other_driver")
    clock = held_by_a_wait_of("other_driver", is_background=True)
    assert clock.held == 0
    assert clock.time() == 0.002


def flowing(main: Callable[[], Coroutine[Any, Any, object]]) -> VirtualClock:
    """Run `main` next to outside work whose patience is over: time flows at real speed."""
    register_external_package("slow_driver")
    wait = outside_wait("slow_driver")

    async def call() -> None:
        waiting = asyncio.create_task(wait(), name="waiting")
        try:
            await main()
        finally:
            waiting.cancel()

    return run_virtual(call, budgets=Budgets(patience=0, quiet=0))[1]


def test_time_flows_to_a_timer_and_no_further() -> None:
    clock = flowing(lambda: asyncio.sleep(0.005))
    assert clock.time() == 0.005
    assert clock.held >= 0.005
    assert clock.jumps == 0


def test_time_flows_to_the_target_of_an_advance() -> None:
    async def main() -> None:
        napping = asyncio.create_task(asyncio.sleep(0.006))
        await the_clock().advance(0.005)
        assert not napping.done()
        await napping

    clock = flowing(main)
    assert clock.time() == 0.006
    assert clock.held >= 0.006


def test_time_flows_to_the_deadline() -> None:
    async def main() -> None:
        the_clock().deadline = 0.005
        await asyncio.sleep(60)

    with pytest.raises(ClockTimeoutError, match=r"virtual time 0\.005 s"):
        flowing(main)


def test_paused_time_does_not_flow() -> None:
    async def main() -> None:
        clock = the_clock()
        with clock.paused():
            napping = asyncio.create_task(asyncio.sleep(0.001))
            asyncio.get_running_loop().call_soon(print)
            await asyncio.to_thread(print)
            assert not napping.done()
        assert clock.time() == 0
        await napping

    flowing(main)


def test_work_in_the_background_may_still_end_a_wait() -> None:
    register_external_package("late_driver")
    wait = outside_wait("late_driver")

    async def main() -> None:
        the_clock().background(asyncio.create_task(wait(), name="listening"))
        await asyncio.Event().wait()

    with pytest.raises(ClockStallError, match=r"waited for: client\.py:wait\n"):
        run_virtual(main, budgets=Budgets(stall=0.01))


@pytest.mark.parametrize("name", ["some.driver", "", "some-driver"])
def test_what_is_no_package(name: str) -> None:
    with pytest.raises(ValueError, match=r"not the name of a top-level package"):
        register_external_package(name)


# ------------------------------------------------------------------ real time


async def sleep_in_reality() -> float:
    await asyncio.sleep(0.002)
    return asyncio.get_running_loop().time()


def test_real_time_goes_on_where_virtual_time_was() -> None:
    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualEventLoop)
        clock = loop.clock
        runner.run(asyncio.sleep(3600))
        clock.run_real()
        assert not clock.is_virtual
        begun = clock.time()
        assert 3600 <= begun < 7200
        assert runner.run(sleep_in_reality()) >= begun + 0.002
        clock.run_real()  # again
        assert clock.time() >= begun + 0.002
        clock.run_virtual()
        assert clock.is_virtual
        stopped = clock.time()
        assert stopped == clock.time() == round(stopped, 9)
        assert begun + 0.002 <= stopped < 7200
        clock.run_virtual()  # again
        runner.run(asyncio.sleep(86400))
        assert clock.time() == pytest.approx(stopped + 86400, abs=1e-9)
        assert clock.jumps == 2


def test_a_timer_outlasts_the_change_of_clocks() -> None:
    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualEventLoop)
        fired: list[float] = []
        loop.call_later(1000, lambda: fired.append(loop.time()))
        loop.clock.run_real()
        runner.run(sleep_in_reality())
        assert fired == []
        loop.clock.run_virtual()
        runner.run(asyncio.sleep(1000))
        assert fired == [1000]


@pytest.mark.parametrize(
    ("name", "steer"),
    [
        ("leap", lambda clock: clock.leap(1)),
        ("paused", lambda clock: clock.paused().__enter__()),
        ("advance", lambda clock: clock.advance(1)),
        ("settle", lambda clock: clock.settle()),
        ("travel_to", lambda clock: clock.travel_to("2026-01-01")),
    ],
)
def test_real_time_cannot_be_steered(name: str, steer: Callable[[VirtualClock], Any]) -> None:
    async def main() -> None:
        with pytest.raises(
            ClockError, match=rf"{name}\(\) needs virtual time, and this loop runs on real time"
        ):
            await steer(the_clock())

    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualEventLoop)
        loop.clock.run_real()
        runner.run(main())
        loop.clock.run_virtual()
        runner.run(asyncio.sleep(1))


def test_real_time_is_shown_as_such() -> None:
    async def main() -> None:
        clock = the_clock()
        assert "real time" in clock.picture()
        with clock.hold():  # holds nothing
            await sleep_in_reality()
        assert clock.now().tzinfo is datetime.UTC

    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualEventLoop)
        loop.clock.run_real()
        runner.run(main())


def test_real_time_waits_for_ever_without_a_deadlock() -> None:
    selector = WatchedSelector()

    async def main() -> None:
        event = asyncio.Event()
        loop = asyncio.get_running_loop()
        with once_the_loop_waits(selector, lambda: loop.call_soon_threadsafe(event.set)):
            await event.wait()

    budgets = Budgets(deadlock_grace=0, deadlock_patience=0, stall=0)
    with asyncio.Runner(loop_factory=lambda: VirtualEventLoop(selector, budgets=budgets)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualEventLoop)
        loop.clock.run_real()
        runner.run(main())
