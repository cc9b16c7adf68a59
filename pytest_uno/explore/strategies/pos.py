"""POS, partial order sampling: a fresh random priority for each operation, not for each task."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pytest_uno.explore.operations import Operation
from pytest_uno.explore.strategies.base import Strategy

__all__ = ["PartialOrderSampling"]


class PartialOrderSampling(Strategy):
    """Takes the operation with the highest priority; each has drawn its own when it was first on offer.

    Args:
        seed: of the search.
        index: the number of this schedule among those of the strategy.
    """

    def __init__(self, seed: int, index: int) -> None:
        self.token = f"pos.{seed}.{index}"
        self._random = random.Random(self.token)
        self._priorities: dict[int, float] = {}

    def choose(self, options: Sequence[Operation]) -> int:
        """Return the index of what comes next."""
        draw, priorities = self._random.random, self._priorities
        best, highest = 0, -1.0
        for index, one in enumerate(options):
            if one.handle is None:
                priority = draw()
            else:
                known = priorities.get(one.sequence)
                if known is None:
                    known = priorities[one.sequence] = draw()
                priority = known
            if priority > highest:
                best, highest = index, priority
        return best
