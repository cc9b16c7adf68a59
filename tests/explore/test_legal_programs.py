"""What is right under stock asyncio is never flagged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pytest_uno.explore import explore
from tests.explore.programs.legal import LEGAL
from tests.explore.schedules_run import LONG


@pytest.mark.parametrize("program", LEGAL, ids=lambda program: program.__name__)
def test_legal_program_passes(program: Callable[[], Any]) -> None:
    report = explore(program, schedules=LONG)
    assert report.failure is None, report.explanation


@pytest.mark.parametrize("program", LEGAL, ids=lambda program: program.__name__)
def test_legal_program_passes_where_time_outs_may_fire(program: Callable[[], Any]) -> None:
    if program.__name__ in ("a_wait_with_a_deadline_by_the_clock",):
        pytest.skip("its own deadline is one that timeouts=True lets pass")
    report = explore(program, schedules=LONG // 4, timeouts=True)
    assert report.failure is None, report.explanation


def test_there_are_enough() -> None:
    assert len(LEGAL) >= 20


async def sleeps_of_different_lengths() -> None:
    order: list[int] = []

    async def nap(number: int) -> None:
        await asyncio.sleep(0.01 * number)
        order.append(number)

    await asyncio.gather(*(nap(number) for number in (3, 1, 2)))
    assert order == [1, 2, 3]


async def in_lockstep() -> None:
    order: list[str] = []

    async def step(name: str) -> None:
        for _ in range(2):
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(step("a"), step("b"))
    assert order == ["a", "b", "a", "b"]


@pytest.mark.parametrize(
    ("program", "delay", "flagged"),
    [
        (sleeps_of_different_lengths, ("io", "sleep"), True),
        (sleeps_of_different_lengths, ("io", "yield"), False),
        (in_lockstep, ("io", "yield"), True),
        (in_lockstep, ("io", "sleep"), False),
    ],
)
def test_the_two_arguable_ones(
    program: Callable[[], Awaitable[None]], delay: tuple[str, ...], flagged: bool
) -> None:
    report = explore(program, delay=delay)  # type: ignore[arg-type]
    assert (report.failure is not None) is flagged
    assert report.delay_class == (delay[-1] if flagged else None)
