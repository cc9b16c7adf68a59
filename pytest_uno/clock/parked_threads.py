"""What a thread does, read from its innermost Python frame: work, listen to somebody, or wait to be woken.

A thread that was woken a moment ago has not run yet: it waits for the interpreter, which the loop's thread has, and its
frame still looks as if it waited. So a wait is not believed by its frame alone; the thing that is waited for is asked.
"""

from __future__ import annotations

import threading
import types
from collections.abc import Container
from enum import Enum

from pytest_uno.clock.asyncio_internals import active_threads

__all__ = ["Doing", "Parking", "parking_of", "what_it_does"]

_LISTENING = frozenset(
    {"selectors", "socketserver", "threading", "socket", "ssl", "multiprocessing.connection"}
)
"""Modules in which a thread waits for somebody to talk to it.

Queues and futures wait in the functions of `threading`: a thread that runs one of their own is on its way.
"""

_WAIT = threading.Condition.wait.__code__
_JOINS = frozenset({"join", "_wait_for_tstate_lock"})


class Doing(Enum):
    """What a thread does."""

    WORK = "works"
    LISTEN = "waits for somebody outside the process, or not for long"
    PARKED = "waits until another thread wakes it"


def what_it_does(frame: types.FrameType, patience: float) -> Doing:
    """Say what a thread does.

    Must be called in another thread than the frame's.

    Args:
        frame: the innermost frame of the thread.
        patience: real seconds; a thread that waits for longer than that counts as parked.
    """
    if frame.f_globals.get("__name__") not in _LISTENING:
        return Doing.WORK
    if frame.f_code is _WAIT:
        return _in_condition(frame.f_locals, patience)
    if frame.f_globals.get("__name__") == "threading":
        joined = frame.f_locals.get("self") if frame.f_code.co_name in _JOINS else None
        if isinstance(joined, threading.Thread) and active_threads().get(joined.ident or 0) is joined:
            return Doing.PARKED
        return Doing.WORK  # on its way into a wait, or out of it
    return Doing.LISTEN


class Parking:
    """Where a thread is parked: tells, without a look at the thread, whether it still is.

    Args:
        waiters: what waits for a condition.
        waiter: the thread's own entry.
    """

    __slots__ = ("_waiter", "_waiters")

    def __init__(self, waiters: Container[object], waiter: object) -> None:
        self._waiters = waiters
        self._waiter = waiter

    @property
    def is_left(self) -> bool:
        """The thread was woken."""
        return self._waiter not in self._waiters


def parking_of(frame: types.FrameType) -> Parking | None:
    """Return where a parked thread is; None when it does not wait for a condition.

    Must be called in another thread than the frame's.

    Args:
        frame: the innermost frame of the thread.
    """
    if frame.f_code is not _WAIT:
        return None
    variables = frame.f_locals
    waiters = getattr(variables.get("self"), "_waiters", ())
    return Parking(waiters, variables.get("waiter"))


def _in_condition(variables: dict[str, object], patience: float) -> Doing:
    """Queues, events, semaphores, barriers and futures all wait in `Condition.wait`."""
    condition = variables.get("self")
    # `notify` takes the waiter away at once; the thread finds that out when it runs.
    if "waiter" not in variables or variables["waiter"] not in getattr(condition, "_waiters", ()):
        return Doing.WORK
    timeout = variables.get("timeout")
    if isinstance(timeout, int | float) and timeout <= patience:
        return Doing.LISTEN
    return Doing.PARKED
