"""A failure is reduced, for as long as that is worth it."""

from __future__ import annotations

from pytest_uno.explore.run import Outcome
from pytest_uno.explore.settings import Settings
from pytest_uno.explore.shrinking import shrink
from pytest_uno.explore.strategies.base import Strategy
from pytest_uno.explore.strategies.pos import PartialOrderSampling

DECISIONS = [(2, 0)] * 60


def test_a_failure_of_two_delays_keeps_these_only() -> None:
    def attempt(strategy: Strategy, settings: Settings) -> Outcome:
        return Outcome(key=("failed",) if strategy.holds == (3, 5) else None, decisions=DECISIONS)

    found = Outcome(key=("failed",), decisions=DECISIONS)
    strategy, settings = shrink(attempt, PartialOrderSampling(0, 0), Settings(), found)
    assert (strategy.holds, settings.delay) == ((3, 5), ("io",))


def test_what_cannot_be_reduced_is_given_up_after_some_runs() -> None:
    runs = 0

    def attempt(strategy: Strategy, settings: Settings) -> Outcome:
        nonlocal runs
        runs += 1
        return Outcome(decisions=DECISIONS)

    original = PartialOrderSampling(0, 0)
    settings = Settings()
    assert len(settings.delay) == 3
    found = Outcome(key=("failed",), decisions=DECISIONS)
    assert shrink(attempt, original, settings, found) == (original, settings)
    singles, pairs_of_a_class = 3 * 60, 200
    assert singles + 2 * pairs_of_a_class < runs <= 603  # the third class is not tried to its end
