"""A limit on how often something may happen, for the shop's own doors and for those of others."""

from __future__ import annotations

import asyncio
from collections import deque


class RateLimit:
    """At most so many turns within any period of that length.

    Must be used on one event loop, whose clock it reads.

    Args:
        turns: how many.
        per: the length of the period in seconds.
    """

    def __init__(self, turns: int, *, per: float) -> None:
        self._per = per
        self._free_from: deque[float] = deque([float("-inf")] * turns, maxlen=turns)
        self._queue = asyncio.Lock()

    def try_turn(self) -> float:
        """Take a turn if one is free; return 0, or the seconds until one will be."""
        now = asyncio.get_running_loop().time()
        pause = max(0.0, self._free_from[0] - now)
        if not pause:
            self._free_from.append(now + self._per)
        return pause

    async def wait_for_turn(self) -> None:
        """Take a turn as soon as one is free; who came first goes first."""
        async with self._queue:
            while pause := self.try_turn():
                await asyncio.sleep(pause)
