"""Before a failure is reported, it is run again: a schedule that does not replay explains nothing."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_uno.explore.run import Outcome, Scenario, Surroundings, run_schedule
from pytest_uno.explore.suspects import Suspects
from pytest_uno.explore.trace import Step, Tracer
from pytest_uno.explore.wake_ups import WakeUps

if TYPE_CHECKING:
    from pytest_uno.explore.tokens import Token

__all__ = ["REPLAYS", "Difference", "Verdict", "check_determinism"]

REPLAYS = 3
"""How often a failure is run again."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first step in which two runs of the same schedule differ.

    Attributes:
        index: of the step, from 0.
        one: the step in the first run; None when that run was over.
        other: the step in the other run.
        cause: the likely cause, in words.
    """

    index: int
    one: Step | None
    other: Step | None
    cause: str


@dataclass(slots=True)
class Verdict:
    """What the replays have shown.

    Attributes:
        error: what the first replay that failed in the same way has raised; None when none did.
        steps: the steps of that replay, else of the first.
        wake_ups: the history of wake-ups of the first replay, in lines.
        equal: how many replays were as the first, itself included.
        difference: the first difference; None when all replays were equal.
    """

    error: BaseException | None = None
    steps: list[Step] = field(default_factory=list[Step])
    wake_ups: list[str] = field(default_factory=list[str])
    equal: int = 0
    difference: Difference | None = None


def check_determinism(
    scenario: Scenario, token: Token, outcome: Outcome, surroundings: Surroundings
) -> Verdict:
    """Run a failing schedule three times more, and compare.

    Args:
        scenario: returns a fresh coroutine.
        token: of the schedule.
        outcome: how it ended in the search.
        surroundings: what is around each schedule.
    """
    verdict = Verdict()
    first: Outcome | None = None
    has_slow_jobs = False
    wake_ups = WakeUps()
    for replay in range(REPLAYS):
        with wake_ups.record() if replay == 0 else nullcontext():
            again = run_schedule(scenario, token.strategy(), token.settings, surroundings, Tracer())
        has_slow_jobs |= again.slow_jobs > 0
        if first is None:
            first, verdict.steps = again, again.steps
        if verdict.error is None and again.key == outcome.key:
            verdict.error, verdict.steps = again.error, again.steps
        if again.steps == first.steps and again.key == first.key:
            verdict.equal += 1
        elif verdict.difference is None:
            verdict.difference = _compare(first, again)
    verdict.wake_ups = wake_ups.lines()
    if verdict.difference is None and verdict.error is None:
        # The replays agree with each other, and not with the search: the scenario keeps something between its runs.
        verdict.difference = Difference(0, None, None, "what the scenario keeps from one run to the next")
        verdict.equal = 0
    elif (difference := verdict.difference) is not None:
        suspects = Suspects()
        with suspects.watch():
            run_schedule(scenario, token.strategy(), token.settings, surroundings)
        cause = suspects.name_cause(has_slow_jobs=has_slow_jobs)
        verdict.difference = Difference(difference.index, difference.one, difference.other, cause)
    return verdict


def _compare(one: Outcome, other: Outcome) -> Difference:
    for index in range(max(len(one.steps), len(other.steps))):
        left = one.steps[index] if index < len(one.steps) else None
        right = other.steps[index] if index < len(other.steps) else None
        if left != right:
            return Difference(index, left, right, "")
    return Difference(len(one.steps), None, None, "")
