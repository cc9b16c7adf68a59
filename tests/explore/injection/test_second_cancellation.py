"""`depth=2`: a second cancellation during the clean-up after the first; `only=`: one injection alone."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_uno.explore import InjectionError, assert_cancel_safe
from tests.explore.injection.loops import run


def make_world() -> Any:
    return SimpleNamespace(is_open=False, closed=0)


async def close_slowly(world: Any) -> None:
    world.is_open = True
    try:
        await asyncio.sleep(0.001)
    except asyncio.CancelledError:
        await asyncio.sleep(0.001)
        raise
    finally:
        if asyncio.current_task().cancelling() != 2:  # type: ignore[union-attr]
            world.is_open = False


def is_closed(world: Any) -> bool:
    return not world.is_open


def test_one_cancellation_does_not_show_it() -> None:
    assert run(assert_cancel_safe(close_slowly, make_world, is_closed)) == 2


def test_two_cancellations_show_it() -> None:
    with pytest.raises(InjectionError) as caught:
        run(assert_cancel_safe(close_slowly, make_world, is_closed, depth=2))
    assert [failure.only for failure in caught.value.failures] == [
        "wait@1+wait@2",
        "wait@1+wake@2",
        "wake@1+wait@2",
        "wake@1+wake@2",
    ]
    assert caught.value.injections == 6
    assert "cancelled while it waited, then cancelled when the result was there" in str(caught.value)


def test_a_safe_operation_bears_two() -> None:
    async def close_at_once(world: Any) -> None:
        world.is_open = True
        try:
            await asyncio.sleep(0.001)
        finally:
            try:
                await asyncio.sleep(0.001)
            finally:
                world.is_open = False

    # Two awaits, and a second cancellation where the first one is followed by an await.
    assert run(assert_cancel_safe(close_at_once, make_world, is_closed, depth=2)) == 4 + 4


def test_only_one_injection() -> None:
    with pytest.raises(InjectionError) as caught:
        run(assert_cancel_safe(close_slowly, make_world, is_closed, only="wake@1+wait@2"))
    assert [failure.only for failure in caught.value.failures] == ["wake@1+wait@2"]
    assert caught.value.injections == 1
    assert run(assert_cancel_safe(close_slowly, make_world, is_closed, only="wake@1")) == 1


def test_only_a_point_that_there_is() -> None:
    with pytest.raises(ValueError, match=r"only='wait@7': the operation is suspended 1 times"):
        run(assert_cancel_safe(close_slowly, make_world, is_closed, only="wait@7"))
