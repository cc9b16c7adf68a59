"""One run of an operation in a world of its own, and everything that can be said about it afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pytest_uno.explore.injection.grace import reap
from pytest_uno.explore.injection.held_locks import HeldLocks
from pytest_uno.explore.injection.left_tasks import LeftTasks, settle_library_tasks
from pytest_uno.explore.injection.left_things import LeftThings
from pytest_uno.explore.injection.operation import CheckFailed, Operation
from pytest_uno.explore.injection.oracles import Oracle, OracleFactory, Remains, Scene, further_oracles
from pytest_uno.explore.injection.own_tasks import OwnTasks
from pytest_uno.explore.injection.points import Plan
from pytest_uno.explore.injection.pools import Pools
from pytest_uno.explore.injection.suspension import SteppedCoroutine, Stop

__all__ = ["Arm", "Attempt", "attempt"]

Arm: TypeAlias = Callable[[Any], contextlib.AbstractContextManager[None]]
"""Prepares a world for the operation, and restores it when the operation has ended."""


@dataclass(slots=True)
class Attempt:
    """What one run has shown.

    Attributes:
        plan: what was to be injected.
        stepped: the operation as it was stepped.
        outcome: `returned`, `raised` or `cancelled`.
        error: what the operation raised.
        cancelling: how many cancellations of the operation's task nobody has taken back.
        problems: what is wrong afterwards: what the check said, and what the teardown raised.
        remains: what was left behind.
        cause: the first exception of the check or of the teardown.
    """

    plan: Plan
    stepped: SteppedCoroutine
    outcome: str = ""
    error: BaseException | None = None
    cancelling: int = 0
    problems: list[str] = field(default_factory=list[str])
    remains: list[Remains] = field(default_factory=list[Remains])
    cause: BaseException | None = None


async def attempt(
    operation: Operation, plan: Plan = (), *, stops: Sequence[Stop] = (), arm: Arm | None = None
) -> Attempt:
    """Run an operation once, from its setup to its teardown.

    Args:
        operation: the operation.
        plan: what is injected, for the report.
        stops: where to cancel it.
        arm: prepares the world.

    Raises:
        BaseException: whatever the setup raises.
    """
    world = await operation.set_up()
    tasks = OwnTasks()
    scene = Scene(world, operation.functions, tasks)
    result: Attempt | None = None
    oracles: list[Oracle] = []
    try:
        oracles = [await begin(scene) for begin in _oracles()]
        with tasks.watch():
            with contextlib.nullcontext() if arm is None else arm(world):
                stepped = SteppedCoroutine(operation.start(world), stops)
                result = Attempt(plan, stepped)
                await _run(result, tasks, operation.name)
            await settle_library_tasks(tasks)
            await _judge(result, operation, world, oracles)
    finally:
        await _tear_down(result, operation, world)
        for oracle in oracles:
            if oracle.is_late and result is not None:
                result.remains += await oracle.look()
        if result is None or result.problems or result.remains:
            await reap(tasks.left())
            _let_go(result, tasks)
            for oracle in oracles:
                oracle.dispose()
    assert result is not None, "the block has raised otherwise"
    return result


def _let_go(result: Attempt | None, tasks: OwnTasks) -> None:
    """Let go of the operation's frames, whose locals would keep lost connections until the whole test is over."""
    tasks.forget()
    if result is not None and result.error is not None:
        traceback.clear_frames(result.error.__traceback__)


def _oracles() -> Sequence[OracleFactory]:
    return (LeftTasks.begin, Pools.begin, HeldLocks.begin, LeftThings.begin, *further_oracles.get())


async def _run(result: Attempt, tasks: OwnTasks, name: str) -> None:
    injected = "+".join(map(str, result.plan))
    task = tasks.start(result.stepped, f"{name} with {injected}" if injected else name)
    try:
        await asyncio.wait([task])
    except BaseException:  # the caller is cancelled itself: the operation may not go on without it
        await reap([task])
        raise
    result.cancelling = task.cancelling()
    if task.cancelled():
        result.outcome = "cancelled"
    elif (error := task.exception()) is not None:
        result.outcome, result.error = "raised", error
    else:
        result.outcome = "returned"


async def _judge(result: Attempt, operation: Operation, world: Any, oracles: Sequence[Oracle]) -> None:
    try:
        await operation.check(world)
    except CheckFailed as exc:
        result.problems.append(f"check: {exc}")
    except Exception as exc:
        result.problems.append(f"check: {_describe(exc)}")
        result.cause = exc
    for oracle in oracles:
        if not oracle.is_late:
            result.remains += await oracle.look()


async def _tear_down(result: Attempt | None, operation: Operation, world: Any) -> None:
    try:
        await operation.tear_down(world)
    except Exception as exc:
        if result is None:
            raise
        result.problems.append(f"teardown: {_describe(exc)}")
        result.cause = result.cause or exc


def _describe(exc: BaseException) -> str:
    text = str(exc)
    if isinstance(exc, AssertionError) and text:
        return text
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__
