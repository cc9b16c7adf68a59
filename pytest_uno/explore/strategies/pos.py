"""POS, partial order sampling: a fresh random priority for each operation, not for each task."""

from __future__ import annotations

import operator
import random
from collections.abc import Sequence

from pytest_uno.explore.operations import Operation
from pytest_uno.explore.strategies.base import Strategy

__all__ = ["PartialOrderSampling"]


_priority = operator.attrgetter("priority")


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
        draw = self._random.random
        for one in options:
            if one.priority < 0 or one.handle is None:
                one.priority = draw()
        return options.index(max(options, key=_priority))
