"""Stock order is exactly what a plain test on the virtual clock sees; and without I/O there is nothing to choose."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings

from pytest_uno.clock import Budgets, VirtualEventLoop
from pytest_uno.explore.run import Outcome, run_schedule
from pytest_uno.explore.settings import Settings
from pytest_uno.explore.strategies.base import Strategy
from pytest_uno.explore.strategies.holds import Holds
from pytest_uno.explore.strategies.pct import PriorityChanges
from pytest_uno.explore.strategies.pos import PartialOrderSampling
from pytest_uno.explore.strategies.stock import Stock
from tests.clock.program_run import ProgramRun
from tests.clock.random_programs import Program, programs

many = settings(
    max_examples=max(100, settings().max_examples // 10),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def new_run(program: Program) -> ProgramRun:
    return ProgramRun(program, program.relative(), tick=1.0, absolute=False)


def on_the_clock(program: Program) -> ProgramRun:
    run = new_run(program)
    budgets = Budgets(deadlock_grace=0.0, deadlock_patience=0.0)
    with asyncio.Runner(loop_factory=lambda: VirtualEventLoop(budgets=budgets)) as runner:
        runner.run(run.main())
    return run


def explored(program: Program, strategy: Strategy, chosen: Settings) -> tuple[ProgramRun, Outcome]:
    run = new_run(program)
    outcome = run_schedule(run.main, strategy, chosen)
    assert outcome.error is None, outcome.error
    return run, outcome


@many
@given(programs())
def test_stock_order_is_that_of_the_clock(program: Program) -> None:
    expected = on_the_clock(program).trace
    for delay in (("io",), ("io", "sleep"), ("io", "sleep", "yield")):
        run, outcome = explored(program, Stock(), Settings(delay=delay))
        assert run.trace == expected
        again, same = explored(program, Holds(()), Settings(delay=delay))
        assert again.trace == expected
        assert same.decisions == outcome.decisions


@many
@given(programs())
def test_without_io_there_is_nothing_to_choose(program: Program) -> None:
    expected = on_the_clock(program).trace
    for strategy in (PartialOrderSampling(0, 0), PriorityChanges(0, 0, 20), Holds((0, 2, 4))):
        run, _ = explored(program, strategy, Settings(delay=("io",)))
        assert run.trace == expected


@many
@given(programs())
def test_a_schedule_is_the_same_twice(program: Program) -> None:
    for make in (
        lambda: PartialOrderSampling(0, 0),
        lambda: PriorityChanges(0, 0, 20),
        lambda: Holds((1, 3)),
    ):
        runs = [explored(program, make(), Settings()) for _ in range(2)]
        assert runs[0][0].trace == runs[1][0].trace
        assert runs[0][1].decisions == runs[1][1].decisions


@pytest.mark.parametrize("jitter", [1.0, 3.0])
def test_a_sleep_is_late_within_its_bound(jitter: float) -> None:
    moments: list[float] = []

    async def sleeper() -> None:
        await asyncio.sleep(1)
        moments.append(asyncio.get_running_loop().time())

    async def ticker() -> None:
        for _ in range(20):
            await asyncio.sleep(0.5)

    async def program() -> None:
        await asyncio.gather(sleeper(), ticker())

    for index in range(30):
        run_schedule(program, PriorityChanges(1, index, 20), Settings(delay=("io", "sleep"), jitter=jitter))
    assert min(moments) == 1
    assert max(moments) <= jitter
    assert (max(moments) > 1) is (jitter > 1)


def test_nothing_is_held_past_a_deadline() -> None:
    async def program() -> None:
        loop = asyncio.get_running_loop()
        ended: list[float] = []

        async def sleeper() -> None:
            await asyncio.sleep(1)
            ended.append(loop.time())

        alarm = loop.call_later(2, ended.append, -1.0)
        await asyncio.gather(sleeper(), asyncio.sleep(3), asyncio.sleep(0.5), asyncio.to_thread(int))
        alarm.cancel()
        assert ended[0] != -1.0, ended

    for index in range(30):
        outcome = run_schedule(program, PartialOrderSampling(2, index), Settings())
        assert outcome.error is None
