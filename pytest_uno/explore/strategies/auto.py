"""All strategies in turn: stock order, then every single hold, with POS and PCT between them.

When all holds have run, and the random strategies draw schedules that have run before, as they do in small programs,
schedules that have not run come between: one for each that was drawn again since the last new one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from pytest_uno.explore.decision_tree import DecisionTree
from pytest_uno.explore.strategies.base import Strategy
from pytest_uno.explore.strategies.holds import Holds
from pytest_uno.explore.strategies.path import Path
from pytest_uno.explore.strategies.pct import PriorityChanges
from pytest_uno.explore.strategies.pos import PartialOrderSampling
from pytest_uno.explore.strategies.stock import Stock

__all__ = ["Auto"]

_HOLDS_FIRST = 8
"""Schedules at the start that are holds: most bugs need one, early."""


class Auto:
    """Chooses the strategy of each schedule.

    Args:
        seed: of the random strategies.
        schedules: how many schedules there will be at most.

    Attributes:
        single_holds: how many schedules with one hold there are; None before the first schedule is over.
        holds_done: how many of them have run.
        others_done: schedules of the random strategies.
    """

    def __init__(self, seed: int, schedules: int) -> None:
        self._seed = seed
        self._schedules = schedules
        self._waiting: deque[int] = deque()
        self._length = 0
        self._run = 0
        self._tree = DecisionTree()
        self._draws = False
        self._repeats = self._untried = 0
        self.single_holds: int | None = None
        self.holds_done = 0
        self.others_done = 0

    @property
    def is_exhausted(self) -> bool:
        """Every schedule with one hold has run, and every other that is possible."""
        return self._tree.is_complete and not self._waiting

    def next(self) -> Strategy:
        """Return the strategy of the next schedule."""
        run, self._run = self._run, self._run + 1
        if run == 0:
            return Stock()
        if self._waiting and (run <= _HOLDS_FIRST or run % 2 == 0):
            self.holds_done += 1
            self._draws = False
            return Holds((self._waiting.popleft(),))
        self._draws = not self._untried
        if self._untried:
            self._untried -= 1
            return Path(self._tree.find_untried())
        index, kind = divmod(self.others_done, 2)
        self.others_done += 1
        if kind:
            return PartialOrderSampling(self._seed, index)
        return PriorityChanges(self._seed, index, self._length)

    def note(self, decisions: Sequence[tuple[int, int]]) -> None:
        """Note the decisions of the last schedule: of each, the number of options and the index that was taken."""
        count = len(decisions)
        self._length = max(self._length, count)
        is_new = self._tree.add(decisions)
        if self._draws:
            self._repeats = 0 if is_new else self._repeats + 1
            self._untried = 0 if self._waiting else self._repeats
        if self.single_holds is None:
            self.single_holds = count
            self._waiting.extend(_spread(count, self._schedules))


def _spread(decisions: int, schedules: int) -> list[int]:
    """Return the decisions in the order in which they are tried: all in turn, or evenly spread if they are too many."""
    room = max(schedules // 2, 1)
    if decisions <= room:
        return list(range(decisions))
    step = -(-decisions // room)
    return [place for first in range(step) for place in range(first, decisions, step)]
