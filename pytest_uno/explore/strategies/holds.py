"""Holds: one operation was slow, until nothing else could go on.

At some decisions, counted from the start, the operation that is due next is put on hold. It comes when there is nothing
else to choose, or when a bound of the loop forces it. A hold needs no seed, all schedules with one of them can be
tried, and it is its own explanation: this operation was slow.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_uno.explore.operations import Operation
from pytest_uno.explore.strategies.base import Strategy

__all__ = ["Holds"]


class Holds(Strategy):
    """Puts the operation due next on hold at some decisions; everything else comes in stock order.

    Args:
        at: the decisions, counted from 0.
    """

    def __init__(self, at: Sequence[int]) -> None:
        self.holds = tuple(at)
        self.token = ".".join(map(str, self.holds))
        self._at = frozenset(at)
        self._decision = -1
        self._held: list[Operation] = []

    def lets_pass(self, count: int) -> bool:
        """Say that the next decisions all take the first option: nothing is on hold, and nothing will be."""
        if self._held:
            return False
        last = self._decision + count
        if any(self._decision < at <= last for at in self.holds):
            return False
        self._decision = last
        self.just_held = ()
        return True

    def choose(self, options: Sequence[Operation]) -> int:
        """Return the index of what comes next."""
        self._decision += 1
        self.just_held = ()
        held = self._held
        if not held and self._decision not in self._at:
            return 0
        free = [index for index, one in enumerate(options) if one not in held]
        while self._decision in self._at and len(free) > 1 and options[free[0]].handle is not None:
            one = options[free.pop(0)]
            held.append(one)
            self.just_held += (one,)
            self._decision += 1  # what comes instead is a decision of its own, and may be put on hold, too
        if free:
            return free[0]
        # Nothing else can go on: what was held first comes.
        released = next(one for one in held if one in options)
        held.remove(released)
        return options.index(released)
