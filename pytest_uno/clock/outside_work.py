"""Who outside the loop could be at work: every source is asked, none of the tasks.

Each source yields `Reason`s. The strongest decides: time is frozen while one of them freezes, then flows if one of
them flows, and is free to jump when there is none.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from math import inf
from typing import TYPE_CHECKING, Any

from pytest_uno.clock.budgets import Budgets
from pytest_uno.clock.connections import Connections
from pytest_uno.clock.datagrams import Datagrams
from pytest_uno.clock.descriptors import Descriptors
from pytest_uno.clock.foreign_threads import ForeignThreads
from pytest_uno.clock.outside_futures import OutsideFutures
from pytest_uno.clock.reasons import Reason
from pytest_uno.clock.subprocesses import Subprocesses
from pytest_uno.clock.time_waits import waits_only_for_time

if TYPE_CHECKING:
    from pytest_uno.clock.failure import RunFailure

__all__ = ["Look", "OutsideWork"]


class Look:
    """One look at the outside: the moment, the budgets, and what the test waits for.

    Args:
        now: the real moment.
        budgets: the clock's budgets.
        root: the task that the loop runs for.
    """

    __slots__ = ("_answer", "_root", "budgets", "now")

    def __init__(self, now: float, budgets: Budgets, root: asyncio.Future[Any] | None) -> None:
        self.now = now
        self.budgets = budgets
        self._root = root
        self._answer: bool | None = None

    def test_waits_for_more_than_time(self) -> bool:
        """Say whether the root task waits for something else than time; found out once a look."""
        if self._answer is None:
            self._answer = self._root is None or not waits_only_for_time(self._root)
        return self._answer


class OutsideWork:
    """All sources of outside work of one loop, each made when it is first needed: most tests need none.

    Args:
        failure: knows the task that the loop runs for.

    Attributes:
        is_noted: a source beside the threads may have something; True until a look finds nothing.
        answered: futures and transports to which something has come that is kept back by whoever runs the loop: they
            do not hold the clock.
        holds: the reasons given to `clock.hold`, by the block that gave them.
        threads: the threads of the process.
    """

    def __init__(self, failure: RunFailure) -> None:
        self.is_noted = False
        self.answered: set[object] = set()
        self.holds: dict[object, str] = {}
        self.threads = ForeignThreads()
        self._failure = failure

    @functools.cached_property
    def background(self) -> weakref.WeakSet[asyncio.Task[Any]]:
        """The tasks whose waits for the outside do not hold the clock."""
        return weakref.WeakSet()

    @functools.cached_property
    def connections(self) -> Connections:
        """The stream transports of the loop."""
        self.is_noted = True
        return Connections(self.answered)

    @functools.cached_property
    def futures(self) -> OutsideFutures:
        """The futures that something outside the loop finishes."""
        return OutsideFutures(self.connections, self.background, self.answered)

    @functools.cached_property
    def datagrams(self) -> Datagrams:
        """The datagram endpoints of the loop."""
        return Datagrams()

    @functools.cached_property
    def descriptors(self) -> Descriptors:
        """The descriptors that are watched."""
        return Descriptors()

    @functools.cached_property
    def subprocesses(self) -> Subprocesses:
        """The running processes that have a protocol of their own."""
        return Subprocesses()

    def forget(self) -> None:
        """Let go of everything; the loop is closed."""
        self.is_noted = False
        self.answered.clear()
        self.holds.clear()
        for source in _SOURCES:
            self.__dict__.pop(source, None)

    def reasons(self, now: float, budgets: Budgets) -> list[Reason]:
        """Ask every source.

        Args:
            now: the real moment.
            budgets: the clock's budgets.
        """
        look = Look(now, budgets, self._failure.root)
        reasons = list(self.threads.reasons(look))
        if self.is_noted:
            reasons += [Reason(now, inf, True, label) for label in self.holds.values()]
            reasons += self.futures.reasons(look, self.threads.count_waiting_for_loop())
            reasons += self.connections.reasons(look)
            reasons += self.futures.late_answers(look)
            reasons += self.datagrams.reasons(look)
            reasons += self.descriptors.reasons(look)
            reasons += self.subprocesses.reasons(look)
            self.is_noted = bool(
                self.holds
                or self.futures
                or self.connections
                or self.datagrams
                or self.descriptors
                or self.subprocesses
            )
        return reasons


_SOURCES = [name for name, value in vars(OutsideWork).items() if isinstance(value, functools.cached_property)]
