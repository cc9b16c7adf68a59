"""Runs what a test does with a database, on the real loop and on the virtual one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pytest_uno.clock import VirtualEventLoop

__all__ = ["LOOPS", "run_on"]

T = TypeVar("T")

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "real": asyncio.new_event_loop,
    "virtual": VirtualEventLoop,
}


def run_on(loop_factory: Callable[[], asyncio.AbstractEventLoop], main: Callable[[], Awaitable[T]]) -> T:
    """Run `main()` to its end on a loop of its own, and return its result."""

    async def call() -> Any:
        return await main()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        result: T = runner.run(call())
        return result
