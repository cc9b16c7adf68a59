"""Path: the choices of some decisions are given, everything else comes in stock order.

Small programs have so few schedules that the random strategies draw the same ones again and again. What they have not
drawn is known from the tree of decisions, and is run by its path in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_uno.explore.operations import Operation
from pytest_uno.explore.strategies.base import Strategy

__all__ = ["Path"]


class Path(Strategy):
    """Takes given options at given decisions, and the first one at all others.

    Args:
        choices: of each decision, counted from 0, the index of what comes; those that are missing take the first.
    """

    def __init__(self, choices: Mapping[int, int]) -> None:
        self._choices = {at: index for at, index in sorted(choices.items()) if index}
        self.token = "path" + "".join(f".{at}-{index}" for at, index in self._choices.items())
        self._decision = -1

    def choose(self, options: Sequence[Operation]) -> int:
        """Return the index of what comes next."""
        self._decision += 1
        return min(self._choices.get(self._decision, 0), len(options) - 1)
