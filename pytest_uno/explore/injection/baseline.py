"""The runs without an injection: what they show is the measure of all others."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_uno.core.errors import compose_message
from pytest_uno.explore.injection.attempt import Arm, Attempt, attempt
from pytest_uno.explore.injection.failure import InjectionError
from pytest_uno.explore.injection.operation import Operation
from pytest_uno.explore.injection.places import place_of
from pytest_uno.explore.injection.suspension import Suspension

__all__ = ["TRIES", "find_problems", "run_baseline", "run_baseline_twice", "undelivered"]

TRIES = 6
"""How often something is tried that a thread may have been too fast for."""


async def run_baseline(operation: Operation, *, arm: Arm | None = None) -> Attempt:
    """Run an operation without an injection.

    Args:
        operation: the operation.
        arm: prepares its world.

    Raises:
        InjectionError: something is wrong without any injection.
    """
    baseline = await attempt(operation, arm=arm)
    problems = [*baseline.problems, *(each.text for each in baseline.remains if not each.may_be_meant)]
    if baseline.outcome != "returned":
        shown = f": {type(baseline.error).__name__}: {baseline.error}" if baseline.error is not None else ""
        problems.insert(
            0, f"{operation.name} {baseline.outcome}{shown}".replace("() cancelled", "() was cancelled")
        )
    if problems:
        text = "\n".join(f"    - {problem}" for problem in problems)
        raise InjectionError(
            compose_message(
                f"{operation.name} fails without any injection:\n{text}",
                fix="make the operation and its check pass undisturbed first: what an injection breaks cannot be told "
                "from what was broken before",
                anchor="injection-baseline",
            )
        ) from (baseline.error or baseline.cause)
    return baseline


async def run_baseline_twice(operation: Operation) -> Attempt:
    """Run an operation without an injection until it is suspended at the same places twice in a row.

    The first run may differ: caches are filled, modules imported. Threads may make others differ.

    Args:
        operation: the operation.

    Raises:
        InjectionError: something is wrong without any injection, or each run differs from the one before.
    """
    before, difference = await run_baseline(operation), None
    for _ in range(TRIES):
        baseline = await run_baseline(operation)
        difference = _difference(before.stepped.suspensions, baseline.stepped.suspensions)
        if difference is None:
            return baseline
        before = baseline
    raise InjectionError(_not_deterministic(operation, difference or ""))


def undelivered(operation: Operation, result: Attempt, wanted: str) -> InjectionError:
    """Return the error for an injection that could not be made, although the run without one had the place for it.

    Args:
        operation: the operation.
        result: the run.
        wanted: what is counted: suspensions, or calls, and how many there were.
    """
    plan = "+".join(map(str, result.plan))
    what = f"{plan} was not reached: this time there were {wanted}"
    if result.error is not None:
        what += f", and it raised {type(result.error).__name__}: {result.error}".partition("\n")[0]
    return InjectionError(_not_deterministic(operation, what))


def find_problems(result: Attempt, baseline: Attempt) -> list[str]:
    """Return what is wrong after a run, and is not in the nature of the operation.

    Args:
        result: the run.
        baseline: the run without an injection.
    """
    meant = {each.text for each in baseline.remains}
    return [
        *result.problems,
        *(f"left behind: {each.text}" for each in result.remains if each.text not in meant),
    ]


def _not_deterministic(operation: Operation, difference: str) -> str:
    return compose_message(
        f"{operation.name} is not deterministic: {difference}",
        cause="it depends on real time, on random numbers, on the order of a set, on which thread is faster, or on a "
        "world that earlier runs have changed",
        fix="make the world anew in `setup`, seed what is random, and use the virtual clock",
        anchor="injection-not-deterministic",
    )


def _difference(first: Sequence[Suspension], second: Sequence[Suspension]) -> str | None:
    for one, other in zip(first, second, strict=False):
        if one.place != other.place and (places := (_place(one), _place(other)))[0] != places[1]:
            return f"suspension {one.number} was {places[0]} in one run, and {places[1]} in the next"
    if len(first) != len(second):
        extra = max(first, second, key=len)[min(len(first), len(second))]
        return (
            f"{len(first)} suspensions in one run and {len(second)} in the next; "
            f"only one of them has number {extra.number}, {_place(extra)}"
        )
    return None


def _place(suspension: Suspension) -> str:
    place = place_of(suspension.lines)
    return "nowhere" if place is None else f"at {place.file}:{place.line} in {place.function}: {place.code}"
