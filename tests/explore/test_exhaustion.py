"""Small programs have few schedules, and all of them run."""

from __future__ import annotations

import asyncio

import pytest

from pytest_uno.explore import explore
from pytest_uno.explore.decision_tree import DecisionTree
from pytest_uno.explore.run import run_schedule
from pytest_uno.explore.settings import Settings
from pytest_uno.explore.strategies.auto import Auto
from pytest_uno.explore.strategies.path import Path
from pytest_uno.explore.tokens import parse_token, token_of


def orders_of(delay: float, steps: int, tasks: int, seen: set[str]) -> object:
    async def program() -> None:
        order: list[str] = []

        async def step(name: str) -> None:
            for _ in range(steps):
                await asyncio.sleep(delay)
                order.append(name)

        await asyncio.gather(*(step(name) for name in "abc"[:tasks]))
        seen.add("".join(order))

    return program


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("delay", "steps", "tasks", "orders"), [(0, 2, 2, 6), (0.01, 2, 2, 6), (0, 1, 3, 6), (0.01, 1, 3, 6)]
)
def test_all_schedules_of_a_small_program_run(
    delay: float, steps: int, tasks: int, orders: int, seed: int
) -> None:
    seen = set[str]()
    report = explore(orders_of(delay, steps, tasks, seen), seed=seed, schedules=200)  # type: ignore[arg-type]
    assert (report.failure, report.exhausted) == (None, True)
    assert report.holds_done == report.single_holds
    assert len(seen) == orders


def test_a_program_with_too_many_schedules_is_not_exhausted() -> None:
    seen = set[str]()
    assert not explore(orders_of(0, 9, 3, seen), schedules=60).exhausted  # type: ignore[arg-type]


def test_what_is_untried() -> None:
    tree = DecisionTree()
    assert tree.add([(2, 0), (3, 0)])
    assert not tree.add([(2, 0), (3, 0)])
    assert tree.find_untried() == {0: 1}
    assert tree.add([(2, 1)])
    assert tree.find_untried() == {0: 0, 1: 1}
    assert tree.add([(2, 0), (3, 1)])
    assert not tree.is_complete
    assert tree.find_untried() == {0: 0, 1: 2}
    assert tree.add([(2, 0), (3, 2)])
    assert tree.is_complete
    assert tree.find_untried() == {}


def test_paths_come_only_where_schedules_are_drawn_again() -> None:
    auto = Auto(0, 100)
    kinds: list[str] = []
    for run in range(30):
        strategy = auto.next()
        kinds.append(type(strategy).__name__)
        choice = run if not isinstance(strategy, Path) else 50 + run
        auto.note([(99, choice if run < 20 else 0)])
    assert "Path" not in kinds[:21]
    assert "Path" in kinds[21:]


def test_a_path_is_replayed() -> None:
    orders: list[str] = []

    async def program() -> None:
        order = ""

        async def nap(name: str) -> None:
            nonlocal order
            await asyncio.sleep(0.01)
            order += name

        await asyncio.gather(*map(nap, "abc"))
        orders.append(order)

    path, settings = Path({0: 2}), Settings()
    run_schedule(program, path, settings)
    run_schedule(program, parse_token(token_of(path, settings)).strategy(), settings)
    run_schedule(program, Path({0: 99}), settings)  # of a program that has changed meanwhile
    assert orders[0] == orders[1] != "abc"
    assert len(orders) == 3
