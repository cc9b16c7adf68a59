"""Keeps virtual time where it is while a task waits for another one's transaction.

Without, a time-out around the wait would fire at once, and the clock would report a deadlock instead of who holds the
connection. But the one that is waited for may itself wait for time, as a task that sleeps inside a transaction does:
then time has to go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.clock.time_waits import waits_only_for_time

__all__ = ["ClockHold"]

_REASON = "a database connection of the sandbox that another task holds"


class ClockHold:
    """Holds the clock of a loop, as long as that makes sense; does nothing on real time.

    Args:
        loop: the running loop.
        ahead: returns the task that is waited for.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, ahead: Callable[[], asyncio.Task[Any] | None]
    ) -> None:
        self._loop = loop
        self._ahead = ahead
        self._hold: contextlib.ExitStack | None = None
        self._clock = loop.clock if isinstance(loop, VirtualEventLoop) and loop.clock.is_virtual else None
        self._is_over = False
        self.renew()

    def renew(self) -> None:
        """Hold the clock at once, until the next review in the same moment; one more task waits."""
        if self._clock is not None and self._hold is None:
            self._begin()
            self._loop.call_soon(self.review)

    def review(self) -> None:
        """Look again at what the other one waits for; must be called while no task runs."""
        if self._clock is None or self._is_over:
            return
        ahead = self._ahead()
        if ahead is not None and ahead.get_loop() is not self._loop:
            return  # it runs in another thread, and could not be looked at
        if ahead is not None and not ahead.done() and waits_only_for_time(ahead):
            self._release()
        elif self._hold is None:
            self._begin()

    def end(self) -> None:
        """Let time go on."""
        self._is_over = True
        self._release()

    def _begin(self) -> None:
        assert self._clock is not None
        self._hold = contextlib.ExitStack()
        self._hold.enter_context(self._clock.hold(_REASON))

    def _release(self) -> None:
        if self._hold is not None:
            self._hold.close()
            self._hold = None
