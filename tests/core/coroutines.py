"""Small coroutine functions for tasks to run."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["fail", "hang", "passes", "return_it"]


async def passes(number: int = 3) -> None:
    """Take some passes of the loop."""
    for _ in range(number):
        await asyncio.sleep(0)


async def hang() -> None:
    """Wait without end."""
    await asyncio.Event().wait()


async def fail(error: BaseException) -> None:
    """Raise this."""
    raise error


async def return_it(value: Any) -> Any:
    """Return this."""
    return value
