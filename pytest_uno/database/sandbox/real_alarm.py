"""Calls back into an event loop every few milliseconds of real time, whatever the loop's clock does.

A task that waits for its turn must learn of its time limit although virtual time stands still. There is one thread for
the process, only while somebody waits. It is no `threading.Thread`, so that neither tests nor the virtual clock nor the
detector of threads take it for somebody's work.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
from collections.abc import Callable

from pytest_uno.clock.real_time import monotonic

__all__ = ["RealAlarm"]

_INTERVAL = 0.01


_alarms: set[RealAlarm] = set()
_lock = _thread.allocate_lock()
_thread_is_there = False


class RealAlarm:
    """Calls `tick` with the real moment, in the loop, until `stop`.

    Args:
        loop: the loop; must be the running one.
        tick: what is called.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, tick: Callable[[float], None]) -> None:
        self._loop = loop
        self._tick = tick
        global _thread_is_there
        with _lock:
            _alarms.add(self)
            if not _thread_is_there:
                _thread_is_there = True
                _thread.start_new_thread(_run, ())

    def stop(self) -> None:
        """Call no more."""
        with _lock:
            _alarms.discard(self)

    def ring(self) -> None:
        """Call once; used by the thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._call)

    def _call(self) -> None:
        if self in _alarms:
            self._tick(monotonic())


def _run() -> None:  # pragma: no cover - a thread that threading knows nothing of is not traced
    global _thread_is_there
    nap = _thread.allocate_lock()
    nap.acquire()
    while True:
        nap.acquire(timeout=_INTERVAL)
        with _lock:
            alarms = list(_alarms)
            if not alarms:
                _thread_is_there = False
                return
        for alarm in alarms:
            alarm.ring()
