"""Moments of virtual time as numbers, and the handles of its timers.

Three rules that floats and a heap do not give by themselves:

* Equal deadlines fire in the order of creation. asyncio's heap compares deadlines alone: 50 equal sleeps end as 0, 2,
  6, 14, ...
* Deadlines are whole nanoseconds, as far as doubles carry them: 0.1 + 0.2 is the moment 0.3.
* A positive delay always moves time, by a nanosecond at least: `while time() < d: await sleep(d - time())` ends.
"""

from __future__ import annotations

import math
from asyncio import TimerHandle
from typing import Any

__all__ = ["COARSE", "NANOSECOND", "Timer", "moment_after", "quantise", "resolution_at"]

NANOSECOND = 1e-9

COARSE = 2e6
"""Seconds, 23 days: from 2 ** 51 nanoseconds on `moment * 1e9` ends in halves, and rounding it would lose a step."""


class Timer(TimerHandle):
    """A timer's handle that knows when it was made."""

    __slots__ = ("sequence",)

    _scheduled: bool
    _source_traceback: Any
    _when: float
    sequence: int

    def drop_innermost_frame(self) -> None:
        """Let the traceback of debug mode end one frame earlier: at the user's line."""
        del self._source_traceback[-1:]

    def __lt__(self, other: Timer) -> bool:  # type: ignore[override]
        mine, its = self._when, other._when
        return mine < its or (mine == its and self.sequence < other.sequence)


def quantise(moment: float) -> float:
    """Round a moment to whole nanoseconds, where doubles can carry them.

    Args:
        moment: seconds of virtual time.
    """
    return round(moment * 1e9) / 1e9 if -COARSE < moment < COARSE else moment


def moment_after(now: float, delay: float) -> float:
    """Return the moment of a timer that was asked for with a delay.

    Args:
        now: seconds of virtual time.
        delay: seconds; a positive delay gives a moment after `now`.
    """
    moment = now + delay
    if delay > 0 and moment - now < NANOSECOND:
        moment = now + NANOSECOND
        if moment == now:
            moment = math.nextafter(now, math.inf)
    return moment


def resolution_at(now: float) -> float:
    """Return a resolution at which the timers of the moment `now` are due, and none of a later one.

    asyncio runs what is due before `now + resolution`; the sum must differ from `now`, and not reach the next moment.

    Args:
        now: seconds of virtual time.
    """
    return max(NANOSECOND / 2, math.ulp(now))
