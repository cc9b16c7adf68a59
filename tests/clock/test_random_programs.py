"""Random programs do the same on the virtual loop as on asyncio's own, and the laws of virtual time hold in them.

The traces compared have each step of each task, with its result and its time, in order. asyncio's own loop runs the
programs on a clock that the test owns, where deadlines may be equal, and on the real clock, where they must differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from pytest_uno import DeadlockError
from pytest_uno.clock import Budgets, VirtualEventLoop
from tests.clock.program_run import ProgramRun
from tests.clock.punctual_loop import PunctualLoop
from tests.clock.random_programs import Program, programs
from tests.clock.steady_loop import SteadyLoop

#: 300 programs, and as many as the profile says where that is more: 10,000 in the profile `nightly`.
many = settings(
    max_examples=max(300, settings().max_examples),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
#: Seconds of a tick in real time. A busy machine needs long ones.
TICKS = [0.001 * 2**attempt for attempt in range(9)]


def make_virtual_loop() -> VirtualEventLoop:
    return VirtualEventLoop(budgets=Budgets(deadlock_grace=0.0, deadlock_patience=0.0))


def run(
    make_loop: Callable[[], asyncio.AbstractEventLoop], of: ProgramRun, *, guarded: bool = True
) -> ProgramRun:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(of.main(guarded=guarded))
    return of


@many
@given(programs())
def test_traces_are_equal_where_deadlines_are_equal(program: Program) -> None:
    virtual = run(make_virtual_loop, ProgramRun(program, program.relative(), tick=1.0, absolute=False))
    steady = run(SteadyLoop, ProgramRun(program, program.relative(), tick=1.0, absolute=False))
    assert virtual.trace == steady.trace
    moments = [moment for moment, _, _ in virtual.trace]
    assert moments == sorted(moments)
    event(f"the program {'waits for ever' if virtual.timed_out else 'ends'}")


@many
@given(programs())
def test_traces_are_equal_in_real_time(program: Program) -> None:
    """On a busy machine a real run may be so late that its trace is another: then it runs again, slower."""
    delays = program.spread_out()
    virtual = run(make_virtual_loop, ProgramRun(program, delays, tick=1.0, absolute=True))
    for tick in TICKS:
        loop = PunctualLoop()
        real = run(lambda: loop, ProgramRun(program, delays, tick=tick, absolute=True))  # noqa: B023 - used at once
        if real.trace == virtual.trace:
            return
        if loop.measure_latest() < tick / 2:
            assert virtual.trace == real.trace
    event("the machine was too busy for real time")


@many
@given(programs())
def test_a_program_deadlocks_where_it_would_never_end_and_only_there(program: Program) -> None:
    steady = run(SteadyLoop, ProgramRun(program, program.relative(), tick=1.0, absolute=False))
    virtual = ProgramRun(program, program.relative(), tick=1.0, absolute=False)
    if steady.timed_out:
        with pytest.raises(DeadlockError):
            run(make_virtual_loop, virtual, guarded=False)
        return
    run(make_virtual_loop, virtual, guarded=False)
    assert virtual.trace == steady.trace


#: Ordinary ones, some of whose sums are equal but for their rounding, and some next to nothing.
seconds = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.1 + 0.2, 0.4, 1 / 3, 2 / 3, 1.0, 1e-17, 1e-9, 3600.0, 1e5])


@many
@given(st.lists(st.tuples(seconds, st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=20))
def test_timers_fire_in_the_order_of_deadline_and_creation(plan: list[tuple[float, int, int]]) -> None:
    """Each timer may be made by another's callback, and its own callback may cancel another."""
    handles: dict[int, asyncio.TimerHandle] = {}
    created: list[int] = []
    fired: list[int] = []
    errors: list[Exception] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: errors.append(context["exception"]))

        def create_timers_of(maker: int) -> None:
            for number, (delay, its_maker, _) in enumerate(plan, 1):
                if its_maker % number == maker:
                    handles[number] = loop.call_later(delay, fire, number)
                    assert handles[number].when() == pytest.approx(loop.time() + delay, rel=0, abs=1.5e-9)
                    created.append(number)

        def fire(number: int) -> None:
            assert loop.time() == handles[number].when()
            assert not handles[number].cancelled()
            fired.append(number)
            create_timers_of(number)
            victim = plan[number - 1][2]
            if victim in handles and victim not in fired:
                handles[victim].cancel()

        create_timers_of(0)
        await asyncio.sleep(1e7)

    with asyncio.Runner(loop_factory=make_virtual_loop) as runner:
        runner.run(main())
    assert errors == []
    assert fired == sorted(fired, key=lambda number: (handles[number].when(), created.index(number)))
    assert set(fired) == {number for number in created if not handles[number].cancelled()}
