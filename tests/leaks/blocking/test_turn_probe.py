"""The function that stands in the place of `select` for one call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.leaks.blocking.turn_probe import TurnProbe


class Turns:
    """Counts what the probe tells."""

    def __init__(self) -> None:
        self.count = 0
        self.probe = TurnProbe(self.turn)

    def turn(self) -> None:
        self.count += 1


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture(params=[asyncio.SelectorEventLoop, VirtualEventLoop])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    loop = request.param()
    yield loop
    loop.close()


def selector_of(loop: asyncio.AbstractEventLoop) -> Any:
    return vars(loop)["_selector"]


def is_planted(loop: asyncio.AbstractEventLoop) -> bool:
    return "select" in vars(selector_of(loop))


def run_turns(loop: asyncio.AbstractEventLoop) -> None:
    async def turn() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    loop.run_until_complete(turn())


def test_it_tells_of_one_turn(loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
    assert turns.probe.plant(loop)
    assert turns.probe.plant(loop)
    assert is_planted(loop)
    run_turns(loop)
    assert turns.count == 1
    assert not is_planted(loop)


def test_it_can_be_planted_again(loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
    for expected in (1, 2):
        assert turns.probe.plant(loop)
        run_turns(loop)
        assert turns.count == expected


def test_it_can_be_removed(loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
    turns.probe.remove()
    turns.probe.plant(loop)
    turns.probe.remove()
    assert not is_planted(loop)
    run_turns(loop)
    assert turns.count == 0


def test_it_moves_to_another_loop(loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
    other = asyncio.SelectorEventLoop()
    turns.probe.plant(loop)
    assert turns.probe.plant(other)
    assert not is_planted(loop)
    run_turns(other)
    assert turns.count == 1
    other.close()


def test_a_loop_without_a_selector_is_left_alone(turns: Turns) -> None:
    assert not turns.probe.plant(object())


def calling(inner: Callable[..., Any]) -> Callable[..., Any]:
    return lambda timeout=None: inner(timeout)


def test_somebody_elses_select_is_left_alone(loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
    selector = selector_of(loop)
    selector.select = theirs = calling(selector.select)
    assert not turns.probe.plant(loop)
    run_turns(loop)
    assert selector.select is theirs
    assert turns.count == 0


@pytest.mark.parametrize("is_removed", [False, True])
def test_somebody_elses_select_stays_that_calls_ours(
    loop: asyncio.AbstractEventLoop, turns: Turns, is_removed: bool
) -> None:
    turns.probe.plant(loop)
    selector = selector_of(loop)
    selector.select = theirs = calling(selector.select)
    if is_removed:
        turns.probe.remove()
    run_turns(loop)
    assert selector.select is theirs
    assert turns.count > 0
