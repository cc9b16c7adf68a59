"""The history of wake-ups: who set, cleared and notified what, and how many were woken.

A deadlock's picture shows who waits for what. Why nobody comes is often in the past: "notify() woke nobody", "set, then
cleared". Recorded only while a failure is run again, because it costs a look at the stack for each call.
"""

from __future__ import annotations

import asyncio
import os
import sys
import types
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pytest_uno.explore.asyncio_internals import count_waiters
from pytest_uno.explore.failures import users_sites

__all__ = ["WakeUps"]

_METHODS: tuple[tuple[type[Any], str], ...] = (
    (asyncio.Event, "set"),
    (asyncio.Event, "clear"),
    (asyncio.Condition, "notify"),
)
"""`notify_all` calls `notify`."""

_SHOWN = 6


class _Call(NamedTuple):
    owner: weakref.ref[Any]
    name: str
    where: str
    woken: int


class WakeUps:
    """Records one run."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    @contextmanager
    def record(self) -> Generator[None]:
        """Record for the length of a block; must not be nested."""
        originals = [(owner, name, getattr(owner, name)) for owner, name in _METHODS]
        for owner, name, original in originals:
            setattr(owner, name, self._wrap(name, original))
        try:
            yield
        finally:
            for owner, name, original in originals:
                setattr(owner, name, original)

    def lines(self) -> list[str]:
        """Return the calls that may have come too early: those that woke nobody, and those that cleared."""
        found: list[str] = []
        for call in self._calls:
            kind = type(call.owner()).__name__ if call.owner() is not None else "object"
            if call.name == "clear":
                found.append(f"  {kind}.clear() at {call.where}")
            else:
                found.append(f"  {kind}.{call.name}() at {call.where} woke {call.woken}")
        return found[-_SHOWN:]

    def _wrap(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        calls = self._calls

        def noted(owner: Any, *args: Any, **options: Any) -> Any:
            waiting = count_waiters(owner)
            most = args[0] if args else options.get("n", waiting)
            woken = min(waiting, most) if name == "notify" else waiting
            where = _user_frame(sys._getframe(1))  # pyright: ignore[reportPrivateUsage]
            if where is not None:
                calls.append(_Call(weakref.ref(owner), name, where, woken))
            return original(owner, *args, **options)

        return noted


def _user_frame(frame: types.FrameType | None) -> str | None:
    is_user = users_sites().is_user
    while frame is not None:
        if is_user(frame.f_code.co_filename):
            return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return None
