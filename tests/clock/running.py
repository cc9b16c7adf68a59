"""Run a coroutine function on a virtual loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pytest_uno.clock import VirtualClock, VirtualEventLoop

T = TypeVar("T")


def run_virtual(main: Callable[[], Awaitable[T]], **loop_options: Any) -> tuple[T, VirtualClock]:
    """Run `main()` to its end and return its result and the clock it ran under."""

    async def call() -> T:
        return await main()

    with asyncio.Runner(loop_factory=lambda: VirtualEventLoop(**loop_options)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualEventLoop)
        return runner.run(call()), loop.clock
