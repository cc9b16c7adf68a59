"""A moment's grace for what ends by itself: some turns of the loop, and real time for threads.

A virtual clock stands still meanwhile, unless tasks that are being cancelled need it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["nap_until", "reap", "turn_until"]

T = TypeVar("T")

_TURNS = 10
_NAP = 0.001
_NAPS = 250
_CLEAN_UP = 0.02
"""Seconds of the loop's clock for tasks that are being cancelled."""


async def turn_until(is_settled: Callable[[], bool]) -> bool:
    """Let the loop turn some times, and say whether that has settled it.

    Args:
        is_settled: asked before each turn.
    """
    for _ in range(_TURNS):
        if is_settled():
            return True
        await asyncio.sleep(0)
    return is_settled()


async def nap_until(is_settled: Callable[[], bool], *, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Let the loop turn, and threads work for some real time, and say whether that has settled it.

    Args:
        is_settled: asked before each nap.
        sleep: sleeps in real time.
    """
    if await turn_until(is_settled):
        return True
    for _ in range(_NAPS):
        sleep(_NAP)
        await asyncio.sleep(0)
        if is_settled():
            return True
    return False


async def reap(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel tasks that were left, and wait a moment for their end, so that they disturb no later run.

    Args:
        tasks: the tasks; what they raise is dropped.
    """
    pending = [task for task in tasks if not task.done()]
    for task in pending:
        task.cancel()
    if not await turn_until(lambda: all(task.done() for task in pending)):
        await asyncio.wait(pending, timeout=_CLEAN_UP)
        await nap_until(lambda: all(task.done() for task in pending))
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()
