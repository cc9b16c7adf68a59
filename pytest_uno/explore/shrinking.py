"""Reduce a failing schedule: to the class that assumes least, and to the fewest holds.

Taking decisions away from a schedule suits holds badly: each later decision is another one then. So the search begins
anew, with one hold and then with two, for the same exception at the same line, in the weakest class first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from pytest_uno.explore.settings import Settings
from pytest_uno.explore.strategies.base import Strategy
from pytest_uno.explore.strategies.holds import Holds
from pytest_uno.explore.strategies.stock import Stock

if TYPE_CHECKING:
    from pytest_uno.explore.run import Outcome

__all__ = ["shrink"]

_RUNS, _SECONDS = 600, 10.0
"""Schedules and real seconds that may be spent."""

_PAIRS = 200
"""Schedules with two holds that are tried in each class."""


def shrink(
    attempt: Callable[[Strategy, Settings], Outcome], strategy: Strategy, settings: Settings, outcome: Outcome
) -> tuple[Strategy, Settings]:
    """Find the schedule with the weakest class and the fewest holds that fails in the same way.

    Args:
        attempt: runs a schedule.
        strategy: of the schedule that fails.
        settings: of this schedule.
        outcome: of this schedule.

    Returns:
        A strategy to be replayed, and its settings; those of the schedule itself if nothing smaller was found.
    """
    if isinstance(strategy, Stock):
        return strategy, settings
    search = _Search(attempt, outcome)
    weaker = list(_weaker(settings))
    counts: dict[Settings, int] = {}
    for one in weaker:
        if one == settings and len(strategy.holds) == 1:
            return strategy, settings
        count = counts[one] = search.count_decisions(one)
        for at in range(count):
            if search.fails(Holds((at,)), one):
                return Holds((at,)), one
    for one in weaker:
        for tried, pair in enumerate(_pairs(counts[one])):
            if tried >= _PAIRS:
                break
            if search.fails(Holds(pair), one):
                return Holds(pair), one
    return strategy, settings


class _Search:
    def __init__(self, attempt: Callable[[Strategy, Settings], Outcome], outcome: Outcome) -> None:
        self._attempt = attempt
        self._key = outcome.key
        self._left = _RUNS
        self._until = time.monotonic() + _SECONDS

    def count_decisions(self, settings: Settings) -> int:
        return len(self._attempt(Stock(), settings).decisions)

    def fails(self, strategy: Strategy, settings: Settings) -> bool:
        if self._left <= 0 or time.monotonic() > self._until:
            return False
        self._left -= 1
        return self._attempt(strategy, settings).key == self._key


def _weaker(settings: Settings) -> Iterator[Settings]:
    """Yield the settings from the weakest up to these."""
    for size in range(1, len(settings.delay) + 1):
        for timeouts in (False, True)[: 1 + settings.timeouts]:
            yield replace(settings, delay=settings.delay[:size], timeouts=timeouts)


def _pairs(count: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs of decisions, those that lie close together first."""
    pairs = sorted(combinations(range(min(count, 60)), 2), key=lambda pair: (pair[1] - pair[0], pair))
    yield from pairs
