"""Run a coroutine on each kind of loop that an injection must not care about."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from pytest_uno.clock import VirtualEventLoop

__all__ = ["LOOPS", "in_thread", "run", "run_on"]

T = TypeVar("T")

LOOPS = pytest.mark.parametrize("kind", ["virtual", "asyncio"])


async def in_thread(job: Callable[[], T]) -> T:
    """Do a job in a thread that is not faster than the loop: the await always suspends."""
    is_awaited = threading.Event()

    def wait_and_do() -> T:
        assert is_awaited.wait(10)
        return job()

    asyncio.get_running_loop().call_soon(is_awaited.set)
    return await asyncio.to_thread(wait_and_do)


def run(main: Coroutine[Any, Any, T]) -> T:
    return run_on("virtual", main)


def run_on(kind: str, main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(
        loop_factory=VirtualEventLoop if kind == "virtual" else asyncio.new_event_loop
    ) as runner:
        return runner.run(main)
