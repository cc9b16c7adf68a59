"""Who outside the loop could be at work: every source is asked, none of the tasks.

Each source yields `Reason`s. The strongest decides: time is frozen while one of them freezes, then flows if one of
them flows, and is free to jump when there is none.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from math import inf
from typing import Any

from pytest_uno.clock.budgets import Budgets
from pytest_uno.clock.connections import Connections
from pytest_uno.clock.descriptors import Descriptors
from pytest_uno.clock.foreign_threads import ForeignThreads
from pytest_uno.clock.outside_futures import OutsideFutures
from pytest_uno.clock.reasons import Reason
from pytest_uno.clock.time_waits import waits_only_for_time

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
    """All sources of outside work of one loop.

    Args:
        root: returns the task that the loop runs for.
    """

    def __init__(self, root: Callable[[], asyncio.Future[Any] | None]) -> None:
        self.background: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self.holds: dict[object, str] = {}
        self.connections = Connections()
        self.futures = OutsideFutures(self.connections, self.background)
        self.descriptors = Descriptors()
        self.threads = ForeignThreads()
        self._root = root

    def may_hold(self) -> bool:
        """Say, cheaply, whether any source has to be asked."""
        return bool(
            self.futures or self.connections or self.descriptors or self.holds or self.threads.may_hold()
        )

    def reasons(self, now: float, budgets: Budgets) -> list[Reason]:
        """Ask every source.

        Args:
            now: the real moment.
            budgets: the clock's budgets.
        """
        look = Look(now, budgets, self._root())
        reasons = [Reason(now, inf, True, label) for label in self.holds.values()]
        reasons += self.futures.reasons(look, self.threads.count_waiting_for_loop())
        if self.connections:
            reasons += self.connections.reasons(look)
            reasons += self.futures.late_answers(look, self.connections.last_outside_traffic)
        if self.descriptors:
            reasons += self.descriptors.reasons(look)
        if self.threads.may_hold():
            reasons += self.threads.reasons(look)
        return reasons
