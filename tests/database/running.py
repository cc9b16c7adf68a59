"""Runs what a test does with a database: on the real loop and on the virtual one, in a sandbox and after it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.database import RollbackSandbox

__all__ = ["LOOPS", "Run", "run_on", "sandboxed"]

T = TypeVar("T")

LoopFactory: TypeAlias = Callable[[], asyncio.AbstractEventLoop]

LOOPS: dict[str, LoopFactory] = {"real": asyncio.new_event_loop, "virtual": VirtualEventLoop}

Run: TypeAlias = Callable[[Callable[[AsyncEngine], Awaitable[None]]], None]
"""Runs a test with the engine of an empty library."""


def run_on(loop_factory: LoopFactory, main: Callable[[], Awaitable[T]]) -> T:
    """Run `main()` to its end on a loop of its own, and return its result."""

    async def call() -> Any:
        return await main()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        result: T = runner.run(call())
        return result


@contextlib.asynccontextmanager
async def sandboxed(*engines: AsyncEngine, **options: Any) -> AsyncGenerator[RollbackSandbox]:
    """Run a block in a sandbox that nothing may escape from and that leaves no connection open."""
    sandbox = RollbackSandbox(engines, **options)
    sandbox.start()
    try:
        yield sandbox
    finally:
        end = await sandbox.stop()
    assert end.escape is None
    assert not sandbox._out  # pyright: ignore[reportPrivateUsage]
