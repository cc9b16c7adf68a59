"""The clock of a schedule's loop is the virtual clock, with all that it offers."""

from __future__ import annotations

import asyncio
import datetime
import gc
import time
import weakref
from typing import Any

import pytest

from pytest_uno.clock import VirtualClock, VirtualEventLoop
from pytest_uno.core.errors import ClockTimeoutError, DeadlockError
from pytest_uno.explore import explore
from pytest_uno.explore.run import Surroundings


def the_clock() -> VirtualClock:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualEventLoop)
    return loop.clock


def passes(scenario: Any, **options: Any) -> int:
    report = explore(scenario, schedules=40, **options)
    assert report.failure is None, report.explanation
    return report.runs


def test_advance_fires_what_is_due_on_the_way() -> None:
    async def program() -> None:
        ticks: list[float] = []

        async def tick() -> None:
            while True:
                await asyncio.sleep(10)
                ticks.append(the_clock().time())

        task = asyncio.create_task(tick())
        await the_clock().advance(35)
        assert the_clock().time() == 35
        assert all(moment <= 35 for moment in ticks)
        assert len(ticks) <= 3
        task.cancel()

    passes(program)
    passes(program, delay=("io",))


def test_settle_does_not_move_time() -> None:
    async def program() -> None:
        events: list[str] = []

        async def work() -> None:
            await asyncio.to_thread(int)
            events.append("job")
            await asyncio.sleep(1)
            events.append("nap")

        task = asyncio.create_task(work())
        await the_clock().settle()
        assert events == ["job"]
        assert the_clock().time() == 0
        await task

    passes(program)


def test_a_paused_clock_is_a_deadlock() -> None:
    async def program() -> None:
        with the_clock().paused():
            await asyncio.sleep(1)

    report = explore(program)
    assert isinstance(report.failure, DeadlockError)
    assert "the clock is paused" in str(report.failure)


def test_the_clocks_deadline() -> None:
    async def program() -> None:
        await asyncio.gather(asyncio.sleep(50), asyncio.sleep(200))

    def opened(loop: VirtualEventLoop) -> None:
        loop.clock.deadline = 100

    report = explore(program, surroundings=Surroundings(opened=opened))
    assert isinstance(report.failure, ClockTimeoutError)
    assert report.found_at == 1


def test_the_wall_clock_goes_along() -> None:
    moments: list[datetime.datetime] = []

    async def program() -> None:
        the_clock().travel_to("2031-05-01T12:00:00")
        await asyncio.gather(asyncio.sleep(60), asyncio.sleep(30))
        moments.append(datetime.datetime.now(datetime.UTC))
        assert time.time() == moments[-1].timestamp()

    passes(program, delay=("io",))
    assert set(moments) == {datetime.datetime(2031, 5, 1, 12, 1, tzinfo=datetime.UTC)}


def test_debug_mode() -> None:
    async def program() -> None:
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.001), asyncio.to_thread(int))

    passes(program, surroundings=Surroundings(opened=lambda loop: loop.set_debug(True)))


def test_a_task_factory_of_the_users() -> None:
    made: list[str] = []

    class Mine(asyncio.Task[Any]):
        pass

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(coro.__qualname__)
        return Mine(coro, loop=loop, **options)

    async def program() -> None:
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.001))

    passes(program, surroundings=Surroundings(opened=lambda loop: loop.set_task_factory(factory)))
    assert "sleep" in made


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="from 3.12 on")
def test_eager_tasks() -> None:
    async def program() -> None:
        factory: Any = getattr(asyncio, "eager_task_factory")  # noqa: B009 - unknown before 3.12
        asyncio.get_running_loop().set_task_factory(factory)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.to_thread(int, number)) for number in range(3)]
        assert [task.result() for task in tasks] == [0, 1, 2]

    passes(program)


def test_a_process_outside() -> None:
    async def program() -> None:
        process = await asyncio.create_subprocess_exec("echo", "hello", stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        assert output == b"hello\n"

    report = explore(program, schedules=3)
    assert report.failure is None, report.explanation


def test_raw_sockets() -> None:
    async def program() -> None:
        import socket

        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            other.setblocking(False)

            async def receive() -> bytes:
                return await loop.sock_recv(other, 10)

            task = asyncio.create_task(receive())
            await asyncio.sleep(0.01)
            await loop.sock_sendall(one, b"hello")
            await asyncio.sleep(0.01)
            assert await task == b"hello"

    passes(program)


def test_a_loop_is_freed_at_once() -> None:
    async def program() -> None:
        await asyncio.gather(asyncio.sleep(1), asyncio.sleep(2), *(asyncio.to_thread(int) for _ in range(3)))

    loops: list[weakref.ref[VirtualEventLoop]] = []
    gc.collect()
    gc.disable()
    try:
        explore(
            program,
            schedules=10,
            surroundings=Surroundings(opened=lambda loop: loops.append(weakref.ref(loop))),
        )
        assert [loop() for loop in loops] == [None] * len(loops)
    finally:
        gc.enable()
    assert len(loops) == 10


def test_a_sleep_beyond_a_timer_may_be_late_for_what_the_timer_begins() -> None:
    """It is the only completion under way until then, and its moment has not come."""
    ended: list[str] = []

    async def end(name: str, after: float) -> None:
        await asyncio.sleep(after)
        ended.append(name)

    async def program() -> None:
        ended.clear()
        begun: asyncio.Future[asyncio.Task[None]] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(
            5, lambda: begun.set_result(asyncio.create_task(end("second", 6)))
        )
        await end("first", 10)
        await (await begun)
        assert ended == ["first", "second"]

    report = explore(program, schedules=40)
    assert report.failure is not None
    assert report.delay_class == "sleep"


def test_a_lone_reply_may_be_later_than_its_time_out() -> None:
    async def program() -> None:
        try:
            async with asyncio.timeout(1):
                await asyncio.to_thread(int)
        except TimeoutError:
            raise AssertionError("the reply was late") from None

    assert explore(program, schedules=10).failure is None
    report = explore(program, schedules=10, timeouts=True)
    assert "the reply was late" in str(report.failure)
