"""One schedule: a scenario on a loop of its own, from its first step to a clean end."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from pytest_uno.core.errors import compose_message
from pytest_uno.explore.clean_up import end_tasks
from pytest_uno.explore.failures import FailureKey, is_forced_timeout, key_of
from pytest_uno.explore.schedule_loop import ScheduleLoop
from pytest_uno.explore.settings import Settings
from pytest_uno.explore.strategies.base import Strategy
from pytest_uno.explore.trace import Step, Tracer

__all__ = ["Outcome", "Scenario", "Surroundings", "run_schedule"]

Scenario: TypeAlias = Callable[[], Coroutine[Any, Any, object]]
"""Returns a fresh coroutine for each schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is around each schedule: made anew before it, and taken down after it.

    The functions are called in this order, for every schedule. The coroutines run on the loop of the schedule, in
    stock order, so that no schedule is spent on them.

    Attributes:
        opened: called with the fresh loop before anything runs on it.
        before: awaited before the scenario, in the scenario's context, so that it may set context variables.
        after: awaited after the scenario, with its exception or None; what it raises becomes the failure of the
            schedule, unless the scenario has failed by itself. Tasks that the scenario has left are still running.
        finished: called with the loop and the exception or None after that, while the loop does not run and the tasks
            that the scenario has left are still there; what it raises is taken like that of `after`.
        closing: called with the loop after every task has ended, right before it is closed; what it raises is taken
            like that of `after`.
        passes_through: says of an exception that it is no failure, and is to be raised out of the exploration at once.
    """

    opened: Callable[[ScheduleLoop], object] | None = None
    before: Callable[[], Awaitable[object]] | None = None
    after: Callable[[BaseException | None], Awaitable[object]] | None = None
    finished: Callable[[ScheduleLoop, BaseException | None], object] | None = None
    closing: Callable[[ScheduleLoop], object] | None = None
    passes_through: Callable[[BaseException], bool] | None = None


@dataclass(slots=True)
class Outcome:
    """How a schedule ended.

    Attributes:
        error: what the scenario raised; None when it passed, or when it reported a time-out that we had forced.
        key: what makes this failure the same as another one.
        decisions: of each, the number of options and the index of the one that was taken.
        rounds: rounds of the loop.
        slow_jobs: jobs of threads whose replies came by real time.
        steps: who ran when; empty without a trace.
        unhandled: messages of what the loop's exception handler was called with.
    """

    error: BaseException | None = None
    key: FailureKey | None = None
    decisions: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    rounds: int = 0
    slow_jobs: int = 0
    steps: list[Step] = field(default_factory=list[Step])
    unhandled: list[str] = field(default_factory=list[str])


def run_schedule(
    scenario: Scenario,
    strategy: Strategy,
    settings: Settings,
    surroundings: Surroundings = Surroundings(),
    tracer: Tracer | None = None,
) -> Outcome:
    """Run a scenario once, on a loop of its own; must be called where no loop runs.

    Args:
        scenario: returns a fresh coroutine.
        strategy: chooses which completion comes when; serves this schedule only.
        settings: what may be late.
        surroundings: what is around the scenario.
        tracer: records who runs when; None does without, and is faster.

    Returns:
        How it ended. Nothing of it goes on: its tasks are cancelled, its loop is closed.

    Raises:
        TypeError: the scenario returns no coroutine.
        KeyboardInterrupt: as it comes; the same holds for SystemExit, and for what `passes_through` says.
    """
    outcome = Outcome()
    loop = ScheduleLoop(settings)

    def note_unhandled(_loop: asyncio.AbstractEventLoop, report: dict[str, Any]) -> None:
        outcome.unhandled.append(str(report.get("message")))

    loop.set_exception_handler(note_unhandled)
    error: BaseException | None = None
    try:
        if surroundings.opened is not None:
            surroundings.opened(loop)
        context = contextvars.copy_context()  # with what has just been set
        try:
            if surroundings.before is not None:
                loop.run_until_complete(loop.create_task(_await(surroundings.before), context=context))
            coroutine = context.run(_start, scenario)
            main = loop.create_task(coroutine, context=context)
            loop.explore_with(strategy)
            if tracer is not None:
                tracer.attach(loop, main)
            loop.run_until_complete(main)
        except BaseException as caught:
            error = caught
        outcome.decisions, outcome.rounds = loop.decisions, loop.rounds
        outcome.slow_jobs = loop.slow_jobs
        loop.explore_no_more()
        if tracer is not None:
            outcome.steps = tracer.detach()
        if surroundings.after is not None and not _passes(error, surroundings):
            after, scenario_error = surroundings.after, error
            try:
                task = loop.create_task(_await(lambda: after(scenario_error)), context=context)
                loop.run_until_complete(task)
            except BaseException as caught:
                error = error or caught
        if surroundings.finished is not None:
            try:
                surroundings.finished(loop, error)
            except BaseException as caught:
                error = error or caught
        end_tasks(loop, has_failed=error is not None)
        if surroundings.closing is not None:
            try:
                surroundings.closing(loop)
            except BaseException as caught:
                error = error or caught
    finally:
        loop.close()
    if error is not None:
        if _passes(error, surroundings):
            raise error
        if not (loop.deadlines_forced and is_forced_timeout(error)):
            outcome.error, outcome.key = error, key_of(error)
    return outcome


def _passes(error: BaseException | None, surroundings: Surroundings) -> bool:
    if error is None:
        return False
    if isinstance(error, KeyboardInterrupt | SystemExit | _NoCoroutineError):
        return True
    return surroundings.passes_through is not None and surroundings.passes_through(error)


class _NoCoroutineError(TypeError):
    """The scenario is not one."""


def _start(scenario: Scenario) -> Coroutine[Any, Any, object]:
    coroutine: Any = scenario()
    if inspect.iscoroutine(coroutine):
        return cast("Coroutine[Any, Any, object]", coroutine)
    raise _NoCoroutineError(
        compose_message(
            f"the scenario {getattr(scenario, '__qualname__', scenario)!r} returned {type(coroutine).__name__}, "
            "and no coroutine",
            fix="give the `async def` function itself, or a function that returns a fresh coroutine each time",
            anchor="explore-scenario",
        )
    )


async def _await(make: Callable[[], Awaitable[object]]) -> object:
    return await make()
