"""`assert_cancel_safe`: an operation is cancelled at each of its awaits, in a fresh world each time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pytest_uno.core.errors import compose_message
from pytest_uno.explore.injection.attempt import Attempt, attempt
from pytest_uno.explore.injection.baseline import TRIES, find_problems, run_baseline_twice, undelivered
from pytest_uno.explore.injection.failure import InjectionError, InjectionFailure, describe_failures
from pytest_uno.explore.injection.operation import Operation
from pytest_uno.explore.injection.places import place_of
from pytest_uno.explore.injection.points import MOMENTS, Plan, Point, parse_plan, require_words
from pytest_uno.explore.injection.suspension import Stop, Suspension

__all__ = ["assert_cancel_safe"]

_WORDS = {
    "wait": "cancelled while it waited",
    "wake": "cancelled when the result was there, before it went on",
}
_BARE = "cancelled while it let others run"


async def assert_cancel_safe(
    op: Callable[..., Any],
    setup: Callable[..., Any] | None = None,
    check: Callable[..., Any] | None = None,
    teardown: Callable[..., Any] | None = None,
    depth: int = 1,
    moments: Iterable[str] = MOMENTS,
    *,
    only: str | None = None,
) -> int:
    """Assert that an operation may be cancelled at each of its awaits.

    It runs twice undisturbed, and then once for each await and moment, in a world of its own each time. After each
    run the check must pass, no task that it started may go on, the cancellation must have come through, locks of the
    world must be free, and connections of the world's SQLAlchemy engines be back in their pools.

    Must be awaited in a running loop of asyncio; all runs are in this loop, one after the other.

    Args:
        op: the operation, an `async def` function; takes the world if there is a `setup`, and nothing else.
        setup: makes a world, for each run; async or not.
        check: takes the world when the operation has ended, and raises or returns False if it is not as it should be;
            async or not.
        teardown: takes the world after the check; async or not. It runs whatever has happened.
        depth: 2 to cancel a second time, at each await that follows, where the first alone does no harm.
        moments: `"wait"` is while what it waits for is pending, `"wake"` when that is done and its result is lost.
        only: one injection alone, as a failure names it: `"wake@3"`.

    Returns:
        How many injections there were; 0 if the operation awaits nothing that suspends it.

    Raises:
        InjectionError: an AssertionError that shows each await at which the operation is not safe; or it fails
            undisturbed, or is not deterministic.
        TypeError: a function cannot be called like that.
        ValueError: `depth`, `moments` or `only` is nothing that there is.

    Example:
        async def test_transfer():
            await assert_cancel_safe(transfer, setup=make_bank, check=no_money_is_lost, teardown=close_bank)
    """
    __tracebackhide__ = True
    operation = Operation("assert_cancel_safe", op, setup, check, teardown)
    _require_depth(depth)
    words = require_words("moments", moments, MOMENTS)
    plan = None if only is None else parse_plan(only, MOMENTS, most=2)
    baseline = await run_baseline_twice(operation)
    plans: deque[tuple[Stop, ...]] = deque()
    if plan is None:
        plans.extend((stop,) for stop in _stops_of(baseline, words))
    else:
        plans.append(await _find_stops(operation, plan, baseline))
    failures: list[InjectionFailure] = []
    cause: BaseException | None = None
    injections = 0
    while plans:
        stops = plans.popleft()
        result = await _inject(operation, stops)
        if len(result.stepped.delivered) < len(stops):
            continue  # no such moment: what it waited for was cancelled, or never done
        injections += 1
        problems = [*_cancellation_problems(result, baseline), *find_problems(result, baseline)]
        if problems:
            failures.append(_failure(result, problems))
            cause = cause or result.cause or result.error
        elif depth > len(stops) and plan is None:
            plans.extend(
                (*stops, stop) for stop in _stops_of(result, words, after=result.stepped.delivered[-1].number)
            )
    if failures:
        raise InjectionError(_text(operation, failures, injections), failures, injections) from cause
    return injections


def _stops_of(run: Attempt, words: tuple[str, ...], *, after: int = 0) -> Iterable[Stop]:
    for suspension in run.stepped.suspensions[after:]:
        # Without a future there is one moment only.
        for word in words[:1] if suspension.is_bare else words:
            yield Stop(Point(word, suspension.number), suspension)


async def _find_stops(operation: Operation, plan: Plan, baseline: Attempt) -> tuple[Stop, ...]:
    """Find the suspensions that a plan names, each in the run with the injections before it.

    Raises:
        ValueError: there are less suspensions.
    """
    stops: list[Stop] = []
    run = baseline
    for point in plan:
        if stops:
            run = await _inject(operation, stops)
        suspensions = run.stepped.suspensions
        if point.number > len(suspensions):
            raise ValueError(
                compose_message(
                    f"only={'+'.join(map(str, plan))!r}: the operation is suspended {len(suspensions)} times",
                    cause="the operation has changed since, or runs on another version of a library",
                    fix="leave `only` out, to see every injection anew",
                    anchor="injection-arguments",
                )
            )
        stops.append(Stop(point, suspensions[point.number - 1]))
    return tuple(stops)


async def _inject(operation: Operation, stops: Sequence[Stop]) -> Attempt:
    """Run the operation with cancellations, again if it does not come by where they are.

    Raises:
        InjectionError: it never comes by there.
    """
    plan = tuple(stop.point for stop in stops)
    result = await attempt(operation, plan, stops=stops)
    for _ in range(TRIES):
        # A second stop is out of reach where the first one has no such moment.
        if result.stepped.reached == len(stops) or result.stepped.reached > len(result.stepped.delivered):
            return result
        result = await attempt(operation, plan, stops=stops)
    raise undelivered(operation, result, f"{len(result.stepped.suspensions)} suspensions")


def _cancellation_problems(result: Attempt, baseline: Attempt) -> list[str]:
    """Return what has become of the cancellation itself."""
    if result.stepped.is_excused:
        return []  # it met the cancellation of a task group or a time-out: which of them counts is theirs to say
    if result.outcome == "raised":
        error = f"{type(result.error).__name__}: {result.error}".rstrip(": ")
        return [f"it raised {error} in place of the cancellation"]
    if result.outcome == "returned" and result.cancelling > baseline.cancelling:
        return ["it has swallowed the cancellation: it returned normally"]
    return []


def _failure(result: Attempt, problems: list[str]) -> InjectionFailure:
    suspensions = result.stepped.delivered
    moment = ", then ".join(
        _moment(point, suspension) for point, suspension in zip(result.plan, suspensions, strict=True)
    )
    only = "+".join(map(str, result.plan))
    return InjectionFailure(only, moment, place_of(suspensions[-1].lines), tuple(problems))


def _moment(point: Point, suspension: Suspension) -> str:
    return _BARE if suspension.is_bare else _WORDS[point.moment]


def _text(operation: Operation, failures: list[InjectionFailure], injections: int) -> str:
    shown = describe_failures("assert_cancel_safe", failures)
    return compose_message(
        f"{operation.name} is not safe to cancel: {len(failures)} of {injections} injections failed\n{shown}",
        fix="undo in `finally` or `async with` what was begun, from the line on at which it begins; keep what belongs "
        "together free of awaits; and let the CancelledError out",
        anchor="not-cancel-safe",
    )


def _require_depth(depth: object) -> None:
    if isinstance(depth, bool) or depth not in (1, 2):
        raise ValueError(
            compose_message(
                f"depth={depth!r}: an operation is cancelled once or twice",
                fix="choose 1, or 2 for a second cancellation during the clean-up after the first",
                anchor="injection-arguments",
            )
        )
