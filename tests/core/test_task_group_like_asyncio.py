"""Without its extras a task group does what that of asyncio does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from pytest_uno.core.task_group import TaskGroup
from tests.core.coroutines import passes

pytestmark = pytest.mark.asyncio


async def _run_scenario(make: Callable[[], asyncio.TaskGroup], scenario: tuple[bool, ...]) -> list[str]:
    """Run one mix of events with a group, and tell what happened."""
    task_fails, body_fails, host_cancelled, swallow, late = scenario
    log: list[str] = []

    async def work() -> None:
        try:
            await passes(4 if late else 1)
            if task_fails:
                raise ValueError("task")
            await asyncio.sleep(3600 if body_fails or (host_cancelled and not swallow) else 0)
        except asyncio.CancelledError:
            log.append("task cancelled")
            raise

    async def host() -> None:
        async with make() as group:
            group.create_task(work())
            try:
                await passes(3)
            except asyncio.CancelledError:
                log.append("body cancelled")
                if not swallow:
                    raise
            if body_fails:
                raise KeyError("body")

    task = asyncio.create_task(host())
    await passes(2)
    if host_cancelled:
        task.cancel()
    try:
        await task
    except BaseExceptionGroup as group:
        log += sorted(repr(error) for error in group.exceptions)
    except asyncio.CancelledError:
        log.append("cancelled")
    return log


@pytest.mark.parametrize("bits", range(32))
async def test_without_its_extras_a_group_does_what_asyncio_does(bits: int) -> None:
    scenario = tuple(bool(bits >> shift & 1) for shift in range(5))
    assert await _run_scenario(TaskGroup, scenario) == await _run_scenario(asyncio.TaskGroup, scenario)
