"""Counts how long one callback has been running, look by look.

The watch never stands in the way of a loop: it knows of a turn only by the probe that it plants at a look. What it
counts is less than what has passed, never more: from the first look at a callback to the last.
"""

from __future__ import annotations

import asyncio
import threading
import types
from collections.abc import Callable, Iterable

from pytest_uno.clock.real_time import monotonic
from pytest_uno.leaks.blocking.readings import Reading, span
from pytest_uno.leaks.blocking.stacks import Line, Look, find_common_lines
from pytest_uno.leaks.blocking.turn_probe import TurnProbe

__all__ = ["CallbackWatch"]

_REFRESH = 20
"""Looks between two readings of how long the watching thread itself has been kept waiting."""

_PATIENCE = 1.0
"""Real seconds that a look may take, at the very most."""


class CallbackWatch:
    """Watches the callbacks of one thread; `look` must be called in another one, `forget` in any.

    Args:
        limit: the real seconds that a callback may take.
        loops: the loops of the thread; the one that runs is looked at.
        see: looks at what the thread does.
        read_worked: returns the processor time of the thread; None if that is unknown.
        read_starved: returns how long the thread was ready to run and did not; None if that is unknown.
        read_own_starved: returns the same for the thread that watches.
        read_paused: returns how long the garbage collector has run.
        report: called when a callback has passed the limit, with the frame of its handle and the user's lines that were
            running in each look, the innermost first.
        now: returns the real time.
    """

    def __init__(
        self,
        limit: float,
        loops: Iterable[asyncio.AbstractEventLoop],
        see: Callable[[], Look | None],
        *,
        read_worked: Callable[[], float | None],
        read_starved: Callable[[], float | None],
        read_own_starved: Callable[[], float | None],
        read_paused: Callable[[], float],
        report: Callable[[types.FrameType, tuple[Line, ...]], None],
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._limit = limit
        self._loops = loops
        self._see = see
        self._read_worked = read_worked
        self._read_starved = read_starved
        self._read_own_starved = read_own_starved
        self._read_paused = read_paused
        self._report = report
        self._now = now
        self._probe = TurnProbe(self._forget_callback)
        self._handle: types.FrameType | None = None
        self._position: object = None
        self._stacks: list[tuple[Line, ...]] = []
        self._blocked = 0.0
        self._is_reported = False
        self._looks = 0
        self._own_starved: float | None = None
        self._last = self._read()
        self._looking = threading.Lock()

    def forget(self) -> None:
        """Let go of the callback and of the loop."""
        self._probe.remove()
        self._forget_callback()

    def settle(self) -> None:
        """Wait for the end of a look that is under way: it may be about to report what it saw in time."""
        if self._looking.acquire(timeout=_PATIENCE):
            self._looking.release()

    def look(self, due: float) -> bool:
        """Look once.

        Args:
            due: the real time at which this should have happened.

        Returns:
            Whether there is a loop to look at.
        """
        with self._looking:
            return self._look(due)

    def _look(self, due: float) -> bool:
        loops = list(self._loops)
        loop = next((loop for loop in loops if loop.is_running()), None)
        # The probe goes in before the look: the turn that is seen cannot end unnoticed.
        seen = self._see() if loop is not None and self._probe.plant(loop) else None
        reading = self._read()
        last, self._last = self._last, reading
        if seen is None:
            self.forget()
        else:
            self._count(seen, last, reading, max(reading.moment - due, 0.0))
        if self._looks % _REFRESH == 0:
            self._own_starved = self._read_own_starved()
        self._looks += 1
        return bool(loops)

    def _read(self) -> Reading:
        return Reading(self._now(), self._read_worked(), None, self._read_paused())

    def _count(self, seen: Look, last: Reading, now: Reading, late: float) -> None:
        is_same = seen.handle is self._handle
        self._handle = seen.handle
        is_stuck, self._position = seen.position == self._position, seen.position
        # It takes a file, and so a moment in which the loop goes on: not before it is clear what was seen.
        now = self._last = now._replace(starved=self._read_starved())
        if is_same:
            gained = span(last, now, late=late, is_stuck=is_stuck)
        else:
            gained = self._measure_hold(last, now, late)
            self._stacks, self._blocked, self._is_reported = [], 0.0, False
        if not seen.counts or self._is_reported:
            return
        self._blocked += gained
        self._stacks.append(seen.lines)
        if self._blocked >= self._limit:
            self._is_reported = True
            self._report(seen.handle, find_common_lines(self._stacks))

    def _measure_hold(self, last: Reading, now: Reading, late: float) -> float:
        """Return for how long a callback that is new to us has kept the interpreter for itself.

        That is what a long call into C does, a regular expression for example: this look was due all the while. What
        shows it is the processor time of the thread; what could have delayed the look besides is taken off.
        """
        if now.worked is None or last.worked is None or late < self._limit / 2:
            return 0.0
        before, self._own_starved = self._own_starved, self._read_own_starved()
        if before is None or self._own_starved is None:
            return 0.0
        paused = now.paused - last.paused
        on_time = now.moment - last.moment - late
        held = min(late - (self._own_starved - before), now.worked - last.worked - on_time)
        return max(held - paused, 0.0)

    def _forget_callback(self) -> None:
        self._handle = None
