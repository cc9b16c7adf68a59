"""The thread that looks at the loop now and then while uno tests run.

There is one for a run. It is no `threading.Thread`, so that nobody sees it who counts or lists threads: neither the
tests, nor the virtual clock, nor the detector of threads. While there is no loop to look at it sleeps until it is
woken.

When it is time for a look, the thread has to wait for the interpreter. Each system call of the thread that has it
wakes it, mostly in vain, since such calls are short: some twenty times in the five milliseconds until Python makes the
other thread give way, and each time costs that one, too. In a suite of small tests this was 3 % of all time. So who
runs tests lets the thread look between two of them, a little before it would wake by itself.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import time
import weakref
from collections.abc import Callable
from math import inf

from pytest_uno.clock.real_time import monotonic

__all__ = ["Lookout", "rest_before_fork"]

_ROUNDS = 20
"""Looks that find nothing to look at before the thread goes to sleep: waking it costs more than some looks."""

_EARLY = 0.25
"""How much sooner a look may be than it has to, as a part of the interval."""

_WAY = 0.002
"""Real seconds that `give_way` waits for a look, at the very most."""

_PATIENCE = 1.0
_NAP = 0.0005
_NAPS = 40
"""Real seconds that the thread gets to end, and the naps in which the system gets to forget it."""

_running: weakref.WeakSet[Lookout] = weakref.WeakSet()
_sleep = time.sleep  # here, so that a test which replaces the module's does not keep us from waiting


class Lookout:
    """Calls a function every few milliseconds, in a thread of its own.

    `start`, `stop`, `wake` and `give_way` must be called in one thread.

    Args:
        interval: real seconds between two calls.
        look: what is called, with the moment at which it should have been; returns whether there is anything to see.
    """

    def __init__(self, interval: float, look: Callable[[float], bool]) -> None:
        self.is_asleep = False
        """Whether the thread has to be woken: there was nothing to look at."""
        self._interval = interval
        self._look = look
        self._bell = _thread.allocate_lock()
        self._bell.acquire()
        self._ended = _thread.allocate_lock()
        self._looked = _thread.allocate_lock()
        self._looked.acquire()
        self._is_awaited = False
        self._may_look = inf
        self._is_stopping = False
        self._native: int | None = None

    @property
    def is_running(self) -> bool:
        """Whether the thread is there."""
        return self._ended.locked()

    def start(self) -> None:
        """Start the thread; does nothing where there is one, or where the system has none to give."""
        if self.is_running:
            return
        _watch_forks()
        self._is_stopping = self.is_asleep = False
        self._ended.acquire()
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:
            self._ended.release()
        else:
            _running.add(self)

    def stop(self) -> None:
        """Let the thread end, and wait for that."""
        self._is_stopping = True
        self._ring()
        _running.discard(self)
        if self.is_running and self._ended.acquire(timeout=_PATIENCE):
            self._ended.release()
            _await_exit(self._native)

    def wake(self) -> None:
        """Let the thread look again, and at once; start it if it was ended for a fork."""
        if self.is_running:
            self._ring()
        else:
            self.start()

    def give_way(self) -> None:
        """Let the thread look now, if it is about time for that, and wait for it."""
        if self._may_look <= monotonic():
            self._is_awaited = True
            self._ring()
            self._looked.acquire(timeout=_WAY)

    def rest(self) -> None:
        """End the thread until it is woken."""
        self.stop()
        self.is_asleep = True

    def _ring(self) -> None:
        self.is_asleep = False
        with contextlib.suppress(RuntimeError):  # it is on its way
            self._bell.release()

    def _run(self) -> None:  # pragma: no cover - a thread that threading knows nothing of is not traced
        self._native = _thread.get_native_id()
        try:
            self.watch()
        finally:
            self._ended.release()

    def watch(self) -> None:
        """Look until `stop` is called; what the thread runs."""
        rounds = 0
        while not self._is_stopping:
            if rounds >= _ROUNDS:
                self.is_asleep = (
                    True  # whoever has something new wakes us from here on: the last look misses nothing
                )
                if not self._look(monotonic()):
                    self._may_look = inf
                    self._bell.acquire()
                self.is_asleep = False
                rounds = 0
                continue
            due = monotonic() + self._interval
            self._may_look = due - _EARLY * self._interval
            self._bell.acquire(timeout=self._interval)
            self._may_look = inf
            rounds = 0 if self._is_stopping or self._look(due) else rounds + 1
            if self._is_awaited:
                self._is_awaited = False
                with contextlib.suppress(RuntimeError):  # who waited has given up
                    self._looked.release()


def _await_exit(native: int | None) -> None:
    """Wait until the system has no such thread any more, where it tells."""
    path = f"/proc/self/task/{native}"
    for _ in range(_NAPS):
        if not os.path.exists(path):
            break
        _sleep(_NAP)


def rest_before_fork() -> None:
    """End every thread until the next test: Python warns of a fork while there are others, and looks after it."""
    for lookout in list(_running):
        lookout.rest()


_is_watching_forks = False


def _watch_forks() -> None:
    """Register what is to happen at a fork; it cannot be taken back, so it does nothing while no thread is there."""
    global _is_watching_forks
    if not _is_watching_forks and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=rest_before_fork)
    _is_watching_forks = True
