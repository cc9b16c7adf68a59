"""`assert_fault_safe`: each call of a function fails once, in a fresh world each time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator, Iterable
from typing import Any, cast

from pytest_uno.core.errors import compose_message
from pytest_uno.explore.injection.attempt import Attempt, attempt
from pytest_uno.explore.injection.baseline import find_problems, run_baseline, undelivered
from pytest_uno.explore.injection.failure import InjectionError, InjectionFailure, describe_failures
from pytest_uno.explore.injection.faulty_calls import FaultyCalls
from pytest_uno.explore.injection.operation import Operation
from pytest_uno.explore.injection.places import place_of
from pytest_uno.explore.injection.points import TIMES, Plan, Point, parse_plan, require_words
from pytest_uno.explore.injection.targets import (
    TargetSpec,
    find_target,
    name_of_target,
    replaced,
    require_target,
)

__all__ = ["Raises", "assert_fault_safe"]

Raises = type[BaseException] | BaseException
"""The exception that a call raises: a class, or an instance where the class needs arguments."""

_WORDS = {
    "before": "raised before its effect",
    "after": "raised after its effect: only the reply was lost",
}


async def assert_fault_safe(
    op: Callable[..., Any],
    target: TargetSpec,
    raises: Raises,
    when: Iterable[str] = TIMES,
    setup: Callable[..., Any] | None = None,
    check: Callable[..., Any] | None = None,
    teardown: Callable[..., Any] | None = None,
    *,
    only: str | None = None,
) -> int:
    """Assert that an operation bears each call of a function to fail.

    It runs once undisturbed, and then once for each call and each of `when`, in a world of its own each time, in which
    that one call raises. The operation may raise the exception, or one that was raised from it, or go on. After each
    run the check must pass, no task that it started may go on, locks of the world must be free, and connections of the
    world's SQLAlchemy engines be back in their pools.

    Must be awaited in a running loop of asyncio; all runs are in this loop, one after the other.

    Args:
        op: the operation, an `async def` function; takes the world if there is a `setup`, and nothing else.
        target: the function, async or not: a path from the world on as `"repo.commit"`, a pair of an object (or class,
            or module) and the name of an attribute, or a function that returns such a pair for a world.
        raises: what the call raises: a class of exceptions, or an exception.
        when: `"before"` is before the call's effect, `"after"` is after it, so that only the reply is lost.
        setup: makes a world, for each run; async or not.
        check: takes the world when the operation has ended, and raises or returns False if it is not as it should be;
            async or not.
        teardown: takes the world after the check; async or not. It runs whatever has happened.
        only: one injection alone, as a failure names it: `"after@1"`.

    Returns:
        How many injections there were.

    Raises:
        InjectionError: an AssertionError that shows each call which the operation does not bear to fail; or it fails
            undisturbed, never calls the target, or is not deterministic.
        TypeError: a function cannot be called like that, or the target or the exception is none.
        ValueError: `target`, `when` or `only` is nothing that there is.

    Example:
        async def test_order():
            await assert_fault_safe(order, "payments.charge", ConnectionError, setup=make_shop, check=charged_once)
    """
    __tracebackhide__ = True
    operation = Operation("assert_fault_safe", op, setup, check, teardown)
    require_target(target, has_world=setup is not None)
    make_error = _error_maker(raises, name_of_target(target))
    words = require_words("when", when, TIMES)
    plan = None if only is None else parse_plan(only, TIMES, most=1)
    baseline, calls = await _count_calls(operation, target, make_error)
    plans = (
        [(Point(word, number),) for number in range(1, calls + 1) for word in words]
        if plan is None
        else [plan]
    )
    if plan is not None and plan[0].number > calls:
        raise ValueError(
            compose_message(
                f"only={only!r}: {operation.name} calls {name_of_target(target)} {calls} times",
                cause="the operation has changed since",
                fix="leave `only` out, to see every injection anew",
                anchor="injection-arguments",
            )
        )
    failures: list[InjectionFailure] = []
    cause: BaseException | None = None
    for plan in plans:
        result, faulty = await _inject(operation, target, make_error, plan)
        if faulty.raised is None:
            raise undelivered(operation, result, f"{faulty.count} calls of {name_of_target(target)}")
        problems = [*_error_problems(result, faulty.raised), *find_problems(result, baseline)]
        if problems:
            failures.append(_failure(target, plan[0], faulty, problems))
            cause = cause or result.cause or result.error
    if failures:
        raise InjectionError(_text(operation, target, failures, len(plans)), failures, len(plans)) from cause
    return len(plans)


async def _count_calls(
    operation: Operation, target: TargetSpec, make_error: Callable[[Point], BaseException]
) -> tuple[Attempt, int]:
    counted: list[FaultyCalls] = []
    baseline = await run_baseline(operation, arm=_arm(target, make_error, None, counted))
    if not counted[0].count:
        raise InjectionError(
            compose_message(
                f"{operation.name} never calls {name_of_target(target)}: nothing can be injected",
                cause="it calls another object, or holds the function itself since before the run",
                fix="name the object in `target` that the operation calls: lambda world: (owner, 'name')",
                anchor="injection-never-called",
            )
        )
    return baseline, counted[0].count


async def _inject(
    operation: Operation, target: TargetSpec, make_error: Callable[[Point], BaseException], plan: Plan
) -> tuple[Attempt, FaultyCalls]:
    faulty: list[FaultyCalls] = []
    result = await attempt(operation, plan, arm=_arm(target, make_error, plan[0], faulty))
    return result, faulty[0]


def _arm(
    target: TargetSpec,
    make_error: Callable[[Point], BaseException],
    point: Point | None,
    made: list[FaultyCalls],
) -> Callable[[Any], contextlib.AbstractContextManager[None]]:
    @contextlib.contextmanager
    def arm(world: Any) -> Generator[None]:
        found = find_target(target, world)
        calls = FaultyCalls(found.function, make_error, point)
        made.append(calls)
        with replaced(found, calls.make_replacement()):
            yield

    return arm


def _error_problems(result: Attempt, injected: BaseException) -> list[str]:
    """Return what is wrong with how the operation has ended."""
    if result.outcome == "cancelled":
        return ["it was cancelled by itself"]
    if result.error is None or _is_due_to(result.error, injected):
        return []
    return [f"it raised {type(result.error).__name__}: {result.error}".rstrip(": ")]


def _is_due_to(error: BaseException, injected: BaseException) -> bool:
    """Say whether an exception is of the injected kind, was raised from one, or is a group of such."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(_is_due_to(each, injected) for each in group.exceptions)
    if isinstance(error, type(injected)):
        return True
    return error.__cause__ is not None and _is_due_to(error.__cause__, injected)


def _error_maker(raises: Raises, name: str) -> Callable[[Point], BaseException]:
    """Return what makes the exception for an injection.

    Raises:
        TypeError: `raises` is no exception, one that needs arguments, or a cancellation.
    """
    kind = raises if isinstance(raises, type) else type(raises)
    if not _is_exception(kind):
        raise _refuse(raises, "pass a class of exceptions, or an exception")
    if issubclass(kind, asyncio.CancelledError):
        raise _refuse(raises, "use assert_cancel_safe, which cancels at each await")
    if not isinstance(raises, type):
        error = raises
        return lambda _: error.with_traceback(None)

    def make(point: Point) -> BaseException:
        try:
            return kind(f"injected: call {point.number} of {name} {_WORDS[point.moment]}")
        except TypeError:
            return kind()

    try:
        make(Point("before", 1))
    except Exception as exc:
        raise _refuse(
            raises, f"pass an exception, made with its arguments: its class alone says {exc}"
        ) from exc
    return make


def _is_exception(kind: type) -> bool:
    return issubclass(kind, BaseException)


def _refuse(raises: object, fix: str) -> TypeError:
    return TypeError(
        compose_message(f"raises={raises!r} cannot be injected", fix=fix, anchor="injection-arguments")
    )


def _failure(target: TargetSpec, point: Point, faulty: FaultyCalls, problems: list[str]) -> InjectionFailure:
    moment = f"call {point.number} of {name_of_target(target)} {_WORDS[point.moment]}"
    place = None if faulty.line is None else place_of([faulty.line])
    return InjectionFailure(str(point), moment, place, tuple(problems))


def _text(operation: Operation, target: TargetSpec, failures: list[InjectionFailure], injections: int) -> str:
    shown = describe_failures("assert_fault_safe", failures)
    return compose_message(
        f"{operation.name} is not safe when {name_of_target(target)} fails: "
        f"{len(failures)} of {injections} injections failed\n{shown}",
        fix="make what is tried again idempotent, as by a key that the other side knows, and undo what was begun "
        "before the error goes on",
        anchor="not-fault-safe",
    )
