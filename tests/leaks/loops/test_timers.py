from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import weakref
from typing import Any

import pytest

from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import LineOf, Test, listed_in, listed_with, nothing, on_both_loops

LEAKY: list[Any] = []
CLEAN: list[Any] = []
KEPT: list[Any] = []

leaks = listed_with(LEAKY)
clean = listed_in(CLEAN)


def late() -> None: ...


class Session:
    def __init__(self) -> None:
        self.handle = asyncio.get_running_loop().call_later(60, self.expire)

    def expire(self) -> None: ...


@leaks("late")
async def by_call_later() -> None:
    asyncio.get_running_loop().call_later(60, late)  # LEAK


class DerivedLoop(asyncio.SelectorEventLoop):
    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        return super().call_at(when, callback, *args, context=context)


@leaks("late")
async def by_call_at() -> None:
    loop = asyncio.get_running_loop()
    loop.call_at(loop.time() + 60, late)  # LEAK


@leaks("late")
async def with_a_partial_function() -> None:
    asyncio.get_running_loop().call_later(60, functools.partial(functools.partial(late)))  # LEAK


@leaks("with_a_lambda.<locals>.<lambda>")
async def with_a_lambda() -> None:
    asyncio.get_running_loop().call_later(60, lambda: None)  # LEAK


@leaks("Future.set_result")
async def with_a_method_of_the_interpreter() -> None:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(60, future.set_result, None)  # LEAK


@leaks("Event.set")
async def with_a_method_of_asyncio() -> None:
    asyncio.get_running_loop().call_later(60, asyncio.Event().set)  # LEAK


@leaks("periodic.<locals>.tick")
async def periodic() -> None:
    loop = asyncio.get_running_loop()

    def tick() -> None:
        loop.call_later(0.001, tick)  # LEAK

    tick()
    await asyncio.sleep(0.004)


@leaks("late")
async def in_a_task() -> None:
    async def job() -> None:
        asyncio.get_running_loop().call_later(60, late)  # LEAK

    await asyncio.create_task(job())


@leaks("late")
async def in_a_context_of_nobody() -> None:
    context = contextvars.Context()
    asyncio.get_running_loop().call_later(60, late, context=context)  # LEAK


@leaks("late")
async def by_a_helper_thread() -> None:
    loop = asyncio.get_running_loop()

    def schedule() -> None:
        loop.call_later(60, late)  # LEAK

    await asyncio.to_thread(loop.call_soon_threadsafe, schedule)
    await asyncio.sleep(0)


@leaks("Future.set_result")
async def kept_and_forgotten() -> None:
    loop = asyncio.get_running_loop()
    KEPT.append(loop.call_later(60, loop.create_future().set_result, None))  # LEAK


@clean
async def cancelled() -> None:
    asyncio.get_running_loop().call_later(60, late).cancel()


@clean
async def fired() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(0.001, event.set)
    await event.wait()


@clean
async def sleeps_and_timeouts() -> None:
    await asyncio.sleep(0.001)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.sleep(60)
    async with asyncio.timeout(60) as timeout:
        timeout.reschedule(asyncio.get_running_loop().time() + 30)
    await asyncio.wait_for(nothing(), 60)
    await asyncio.wait([asyncio.ensure_future(nothing())], timeout=60)
    for future in asyncio.as_completed([nothing()], timeout=60):
        await future


@clean
async def sleeps_that_are_cancelled() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()


@clean
async def cancelled_in_the_clean_up_of_a_cancelled_task() -> None:
    async def job() -> None:
        handle = asyncio.get_running_loop().call_later(60, late)
        try:
            await asyncio.sleep(60)
        finally:
            handle.cancel()

    task = asyncio.create_task(job())
    await asyncio.sleep(0)
    task.cancel()


@clean
async def cancelled_within_some_turns() -> None:
    loop = asyncio.get_running_loop()
    handle = loop.call_later(60, late)
    loop.call_soon(loop.call_soon, handle.cancel)


@clean
async def of_an_open_connection() -> None:
    class Idle(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            self.handle = asyncio.get_running_loop().call_later(60, self.end)

        def connection_lost(self, exc: Exception | None) -> None:
            self.handle.cancel()

        def end(self) -> None:
            self.transport.close()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Idle, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    await asyncio.sleep(0)
    writer.close()
    server.close()
    await writer.wait_closed()


@clean
async def of_a_loop_in_a_helper_thread() -> None:
    async def job() -> None:
        asyncio.get_running_loop().call_later(60, late)

    await asyncio.to_thread(asyncio.run, job())


@on_both_loops
@pytest.mark.parametrize(("test", "target"), LEAKY)
def test_a_leak_is_reported_once(bench: Any, test: Test, target: str, line_of: LineOf) -> None:
    (finding,) = bench.run_test(test, loop_ends=False)
    assert (finding.rule, finding.target) == ("UNO203", target)
    assert finding.subject == f"timer that calls {target}() is still scheduled"
    assert finding.created[0].line == line_of(test, "# LEAK")
    assert bench.run_test(nothing) == []
    assert all(handle.cancelled() for handle in bench.loop._scheduled)
    KEPT.clear()


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    assert bench.run_test(test) == []
    assert bench.unhandled == []


@pytest.mark.parametrize("bench", [DerivedLoop], indirect=True)
@pytest.mark.parametrize("test", [by_call_later, by_call_at])
def test_a_derived_loop_is_no_library(bench: Any, test: Test, line_of: LineOf) -> None:
    (finding,) = bench.run_test(test, loop_ends=False)
    assert finding.created[0].line == line_of(test, "# LEAK")


def test_timers_are_reported_in_the_order_in_which_they_were_made(bench: Any) -> None:
    async def test() -> None:
        for delay in (60, 40, 50):
            asyncio.get_running_loop().call_later(delay, functools.partial(late))
        asyncio.get_running_loop().call_later(45, print)

    assert [finding.target for finding in bench.run_test(test)] == ["late", "late", "late", "print"]


def test_a_timer_that_a_wider_fixture_holds_is_the_fixtures(bench: Any) -> None:
    class Hub:
        session: Session

    hub, fixture = Hub(), Owner("fixture", "hub", "session")
    bench.detection.retain(fixture, hub)

    async def test() -> None:
        hub.session = Session()

    assert bench.run_test(test, loop_ends=False) == []
    assert bench.run_test(nothing, loop_ends=False) == []
    assert not hub.session.handle.cancelled()
    fixture.ended = True
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert (finding.rule, finding.owner.name) == ("UNO203", "hub")
    assert hub.session.handle.cancelled()


def test_the_periodic_timer_of_a_wider_fixture_goes_on(bench: Any) -> None:
    fixture = Owner("fixture", "hub", "module")
    ticks: list[asyncio.TimerHandle] = []

    async def set_up() -> None:
        loop = asyncio.get_running_loop()

        def tick() -> None:
            ticks.append(loop.call_later(0.001, tick))

        tick()

    async def test() -> None:
        before = len(ticks)
        while len(ticks) < before + 2:
            await asyncio.sleep(0.001)

    bench.run_as(fixture, set_up)
    assert bench.run_test(test, loop_ends=False) == []
    assert bench.run_test(test, loop_ends=False) == []
    fixture.ended = True
    (finding,) = bench.run_test(nothing, loop_ends=False)
    assert (finding.rule, finding.owner.name) == ("UNO203", "hub")


def test_a_timer_of_a_library_alone_is_its_own_affair(bench: Any) -> None:
    library: dict[str, Any] = {}
    code = compile("def schedule(loop):\n    loop.call_later(60, print)", "<frozen library>", "exec")
    exec(code, library)

    async def within() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(library["schedule"], loop)
        await asyncio.sleep(0)

    async def through() -> None:
        library["schedule"](asyncio.get_running_loop())

    assert bench.run_test(within, loop_ends=False) == []
    (finding,) = bench.run_test(through)
    assert finding.created[0].function.endswith("through")


@on_both_loops
def test_the_place_that_debug_mode_keeps_is_the_users(bench: Any) -> None:
    bench.loop.set_debug(True)

    async def test() -> None:
        loop = asyncio.get_running_loop()
        for handle in (loop.call_later(60, late), loop.call_at(loop.time() + 60, late)):
            handle.cancel()
            summary: Any = handle._source_traceback  # type: ignore[attr-defined]
            assert summary[-1].filename == __file__

    assert bench.run_test(test) == []


@on_both_loops
def test_a_patched_method_looks_as_before(bench: Any) -> None:
    def shape() -> tuple[Any, ...]:
        method: Any = type(bench.loop).call_at
        return method.__name__, method.__doc__, inspect.signature(method)

    patched = shape()
    bench.detection.remove()
    assert patched == shape()


def test_nothing_is_recorded_while_nobody_owns_anything(bench: Any) -> None:
    (detector,) = [each for each in bench.detection._further if type(each).__name__ == "Timers"]
    bench.run_as(None, by_call_later)
    assert detector._known == {}
    bench.run_as(Owner("test", "test_x"), by_call_later)
    assert len(detector._known) == 1


def test_timers_that_are_gone_are_forgotten(bench: Any) -> None:
    (detector,) = [each for each in bench.detection._further if type(each).__name__ == "Timers"]

    async def test() -> None:
        for _ in range(5000):
            asyncio.get_running_loop().call_later(0, late)
            await asyncio.sleep(0)

    assert bench.run_test(test) == []
    assert len(detector._known) < 4


def test_timers_that_are_gone_are_forgotten_during_a_long_test(bench: Any) -> None:
    (detector,) = [each for each in bench.detection._further if type(each).__name__ == "Timers"]
    owner = Owner("test", "test_x")

    async def test() -> None:
        loop = asyncio.get_running_loop()
        gone = asyncio.TimerHandle(0, late, (), loop)
        detector._known[0] = (weakref.ref(gone), owner, [])
        del gone
        for handle in [loop.call_later(60, late) for _ in range(5000)]:
            handle.cancel()
        assert 0 not in detector._known

    assert bench.run_test(test, owner=owner) == []
