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

    def choose(self, options: Sequence[Operation]) -> int:
        """Return the index of what comes next."""
        best, highest = 0, -1.0
        for index, one in enumerate(options):
            priority = one.priority
            if priority < 0 or one.handle is None:
                priority = one.priority = self._random.random()
            if priority > highest:
                best, highest = index, priority
        return best
