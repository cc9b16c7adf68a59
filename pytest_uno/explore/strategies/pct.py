"""PCT, probabilistic concurrency testing: a random priority for each task, changed at few random moments.

A bug that needs `depth` ordering constraints is found with a probability of at least 1 / (tasks * decisions ** (depth -
1)) in each schedule.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence

from pytest_uno.explore.operations import Operation
from pytest_uno.explore.strategies.base import Strategy

__all__ = ["PriorityChanges"]


class PriorityChanges(Strategy):
    """Takes the operation of the task with the highest priority.

    Args:
        seed: of the search.
        index: the number of this schedule among those of the strategy.
        length: decisions of the longest schedule so far; among them the changes lie.
        depth: one more than the number of changes.
    """

    def __init__(self, seed: int, index: int, length: int, depth: int = 3) -> None:
        length = max(length, 2)
        self.token = f"pct{depth}.{seed}.{index}.{length}"
        self._random = random.Random(self.token)
        self._depth = depth
        self._decision = 0
        self._priorities: dict[Hashable, float] = {}
        moments = self._random.sample(range(1, length + 1), min(depth - 1, length))
        self._changes = {moment: place for place, moment in enumerate(moments)}

    def choose(self, options: Sequence[Operation]) -> int:
        """Return the index of what comes next."""
        self._decision += 1
        priorities = self._priorities
        best, highest = 0, -2.0
        for index, one in enumerate(options):
            lane: Hashable = one.task or one.source or one.kind
            known = priorities.get(lane)
            if known is None:
                known = priorities[lane] = self._depth + self._random.random()
            if known > highest:
                best, highest = index, known
        change = self._changes.get(self._decision)
        if change is not None:
            one = options[best]
            priorities[one.task or one.source or one.kind] = change / self._depth - 1
        return best
