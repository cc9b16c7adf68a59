"""The object that stands for the operation's coroutine in its task: as the coroutine to whoever looks at it."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from pytest_uno.explore import assert_cancel_safe
from pytest_uno.explore.injection.suspension import SteppedCoroutine
from tests.explore.injection.loops import run


def current_coroutine() -> Any:
    task = asyncio.current_task()
    assert task is not None
    return task.get_coro()


def test_the_task_is_shown_with_the_line_of_the_operation() -> None:
    shown: set[str] = set()

    async def show() -> None:
        shown.add(repr(asyncio.current_task()))
        await asyncio.sleep(0)

    run(assert_cancel_safe(show))
    assert all(f".show() running at {__file__}:" in text for text in shown)
    assert shown


def test_the_state_of_the_coroutine_is_that_of_the_operation() -> None:
    states: set[str] = set()

    async def look() -> None:
        states.add(inspect.getcoroutinestate(current_coroutine()))
        await asyncio.sleep(0)

    run(assert_cancel_safe(look))
    assert states == {inspect.CORO_RUNNING}


def test_it_cannot_be_awaited() -> None:
    async def await_itself() -> None:
        with pytest.raises(RuntimeError, match="is run by a task"):
            await current_coroutine()

    assert run(assert_cancel_safe(await_itself)) == 0


def test_closing_it_closes_the_coroutine() -> None:
    async def never_run() -> None:
        raise AssertionError

    coroutine = never_run()
    SteppedCoroutine(coroutine).close()
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
