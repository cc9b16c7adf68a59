"""Tasks that sleep, and the moments at which they woke."""

from __future__ import annotations

import asyncio

from tests.clock.virtual_test import the_clock

__all__ = ["Naps", "Trace"]

Trace = list[tuple[str, float]]


class Naps:
    """Tasks that sleep, and the moments at which they woke."""

    def __init__(self) -> None:
        self.woken: Trace = []
        self.tasks: list[asyncio.Task[None]] = []

    def begin(self, *delays: float, name: str = "nap") -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(self._nap(name, delays)))
        return self.tasks[-1]

    async def _nap(self, name: str, delays: tuple[float, ...]) -> None:
        for delay in delays:
            await asyncio.sleep(delay)
            self.woken.append((name, the_clock().time()))

    def end(self) -> None:
        for task in self.tasks:
            task.cancel()
