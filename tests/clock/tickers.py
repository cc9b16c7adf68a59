"""Real work beside a ticker: a clock that moves too early is seen at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from pytest_uno.clock import VirtualClock, VirtualEventLoop
from pytest_uno.clock.budgets import Budgets

__all__ = ["PATIENT", "at_once", "running_clock", "ticking"]

T = TypeVar("T")

#: Real work may take as long as it likes on a loaded machine: nothing in these tests takes that long. A ticker
#: that goes on for ever is found out soon.
PATIENT = Budgets(patience=30.0, quiet=0.05, max_jumps=50_000)


def running_clock() -> VirtualClock:
    """Return the clock of the running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualEventLoop)
    return loop.clock


@contextlib.asynccontextmanager
async def ticking(step: float = 0.01) -> AsyncIterator[list[float]]:
    """Note the virtual time every `step` seconds: there is always a timer that the clock could jump to."""
    loop = asyncio.get_running_loop()
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await asyncio.sleep(step)
            ticks.append(loop.time())

    task = asyncio.create_task(tick(), name="ticker")
    try:
        yield ticks
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def at_once(work: Awaitable[T], within: float = 0.05) -> T:
    """Await work that is done outside the loop, which must not cost any virtual time."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(within):
        result = await work
    assert loop.time() == began
    return result
