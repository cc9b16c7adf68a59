"""Objects that a test has declared to be no leaks.

They are kept until the run ends: what is kept cannot be dropped, and so nobody sees it go, and its identity is not
given to another object.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from pytest_uno.leaks.asyncio_internals import forget_exception
from pytest_uno.leaks.judging import Suspect

__all__ = ["IgnoredObjects"]


class IgnoredObjects:
    """The ignored objects of one run."""

    def __init__(self) -> None:
        self._things: dict[int, Any] = {}

    def add(self, thing: object) -> None:
        """Never report an object from now on.

        Args:
            thing: the object.
        """
        self._things[id(thing)] = thing

    def without_ignored(self, suspects: list[Suspect]) -> list[Suspect]:
        """Return the suspects whose things are not ignored.

        Args:
            suspects: all of them.
        """
        if not self._things:
            return suspects
        return [suspect for suspect in suspects if id(suspect.thing) not in self._things]

    def clear(self) -> None:
        """Let go of all of them, without a word from Python about those that it would complain of."""
        for thing in self._things.values():
            if inspect.iscoroutine(thing) and inspect.getcoroutinestate(thing) == inspect.CORO_CREATED:
                thing.close()
            elif asyncio.isfuture(thing) and thing.done():
                forget_exception(thing)
        self._things.clear()
