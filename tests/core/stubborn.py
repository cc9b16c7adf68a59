"""Tasks that ignore cancellations."""

from __future__ import annotations

import asyncio

from pytest_uno.core.errors import TaskLeakError

__all__ = ["Stubborn", "end_leaked"]


class Stubborn:
    """A coroutine function that ignores cancellations until it is released."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.cancellations = 0

    async def __call__(self) -> None:
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancellations += 1


async def end_leaked(errors: tuple[BaseException, ...], *stubborn: Stubborn) -> None:
    """Let go of what a test left behind."""
    for each in stubborn:
        each.release.set()
    tasks = [task for error in errors if isinstance(error, TaskLeakError) for task in error.tasks]
    if tasks:
        await asyncio.wait(tasks)
