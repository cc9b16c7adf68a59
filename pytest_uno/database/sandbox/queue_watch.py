"""Looks after the tasks of one loop that wait for the connection: one timer and one hold of the clock for all of them.

They wait for the same transaction, so what that one waits for need not be found out for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pytest_uno.database.sandbox.clock_hold import ClockHold
from pytest_uno.database.sandbox.real_alarm import RealAlarm

__all__ = ["QueueWatches"]


class _Watch:
    """The timer and the hold of one loop.

    Attributes:
        count: how many of its tasks wait.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ahead: Callable[[], asyncio.Task[Any] | None],
        tick: Callable[[asyncio.AbstractEventLoop, float], None],
    ) -> None:
        self.count = 0
        self.hold = ClockHold(loop, ahead)
        self._loop = loop
        self._tick = tick
        self._alarm = RealAlarm(loop, self._ring)

    def end(self) -> None:
        self._alarm.stop()
        self.hold.end()

    def _ring(self, now: float) -> None:
        self._tick(self._loop, now)
        self.hold.review()


class QueueWatches:
    """Watches loops while tasks of theirs wait.

    Args:
        ahead: returns the task that is waited for.
        tick: called every few milliseconds of real time with each loop that has tasks waiting, in that loop, and with
            the real moment.
    """

    def __init__(
        self,
        ahead: Callable[[], asyncio.Task[Any] | None],
        tick: Callable[[asyncio.AbstractEventLoop, float], None],
    ) -> None:
        self._ahead = ahead
        self._tick = tick
        self._watches: dict[asyncio.AbstractEventLoop, _Watch] = {}

    def enter(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note that one more task of a loop waits.

        Args:
            loop: the running loop.
        """
        watch = self._watches.get(loop)
        if watch is None:
            watch = self._watches[loop] = _Watch(loop, self._ahead, self._tick)
        else:
            watch.hold.renew()
        watch.count += 1

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note that one of them waits no more.

        Args:
            loop: the running loop.
        """
        watch = self._watches[loop]
        watch.count -= 1
        if not watch.count:
            del self._watches[loop]
            watch.end()
