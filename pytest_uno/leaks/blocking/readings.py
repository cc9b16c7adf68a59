"""How much of the passing time a thread had for itself.

A machine that is busy with other things looks like a callback that takes long. So the time of the processor is read,
and the time that a thread was ready to run and had no processor; each where the system tells.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from io import FileIO  # the class: `open` is patched while tests run
from typing import Any, NamedTuple

from pytest_uno.clock.real_time import monotonic

__all__ = ["GcPauses", "Reading", "ThreadTimes", "make_time_reader", "read_starved", "span"]

# Taken here once: libraries that freeze time replace the attributes of modules.
_get_clock: Callable[[int], int] | None = getattr(time, "pthread_getcpuclockid", None)
_read_clock: Callable[[int], float] | None = getattr(time, "clock_gettime", None)


class Reading(NamedTuple):
    """The clocks at one moment, in seconds.

    Attributes:
        moment: real time.
        worked: the processor time of the loop's thread; None if that is unknown.
        starved: how long the loop's thread was ready to run and did not; None if that is unknown, or was not read.
        paused: how long the garbage collector has run.
    """

    moment: float
    worked: float | None
    starved: float | None
    paused: float


class ThreadTimes:
    """The times of one thread.

    Args:
        identifier: Python's identifier of the thread.
        native: the system's.
    """

    def __init__(self, identifier: int, native: int) -> None:
        self.read_worked = make_time_reader(_get_clock, _read_clock, identifier)
        """Returns the processor time of the thread in seconds; None if that is unknown."""
        self._schedule = f"/proc/self/task/{native}/schedstat"

    def read_starved(self) -> float | None:
        """Return how many seconds the thread was ready to run and had no processor; None if that is unknown."""
        return read_starved(self._schedule)


def read_starved(path: str = "/proc/thread-self/schedstat") -> float | None:
    """Return how many seconds a thread was ready to run and had no processor; None if that is unknown.

    Args:
        path: what Linux tells of the thread; by default of the one that calls this.
    """
    try:
        with FileIO(path) as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):  # another system, or a kernel that does not count it
        return None


def make_time_reader(
    get_clock: Callable[[int], int] | None, read_clock: Callable[[int], float] | None, thread: int
) -> Callable[[], float | None]:
    """Return what reads the processor time of a thread.

    Args:
        get_clock: `time.pthread_getcpuclockid`; None where there is none.
        read_clock: `time.clock_gettime`; None where there is none.
        thread: the identifier of the thread.
    """
    if get_clock is None or read_clock is None:
        return lambda: None
    clock, read = get_clock(thread), read_clock
    return lambda: read(clock)


class GcPauses:
    """Counts how long the garbage collector has run, as one of `gc.callbacks`."""

    def __init__(self) -> None:
        self.total = 0.0
        """Real seconds."""
        self._began = 0.0

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        """Take note of the beginning or the end of a collection."""
        if phase == "start":
            self._began = monotonic()
        else:
            self.total += monotonic() - self._began

    def install(self) -> Callable[[], None]:
        """Begin to count; return what ends it."""
        gc.callbacks.append(self)

        def remove() -> None:
            if self in gc.callbacks:  # not if somebody has cleared the list
                gc.callbacks.remove(self)

        return remove


def span(before: Reading, now: Reading, *, late: float, is_stuck: bool) -> float:
    """Return for how much of the time between two readings a callback that ran all the while is to blame.

    Args:
        before: the first reading.
        now: the second.
        late: by how many seconds the second look came later than it should have: something held up the process, or the
            interpreter.
        is_stuck: both looks have seen the same instruction, as in a call that waits.
    """
    wall = now.moment - before.moment
    paused = now.paused - before.paused
    starved = _difference(before.starved, now.starved)
    worked = _difference(before.worked, now.worked)
    waited = wall - late - paused - (starved or 0.0)
    if worked is None:
        return max(waited, 0.0)
    if starved is None and not is_stuck:
        waited = 0.0  # it may have waited for a processor only
    return max(waited, min(worked - paused, wall), 0.0)


def _difference(before: float | None, now: float | None) -> float | None:
    return None if before is None or now is None else now - before
