"""The cancellation of a task that is in a task group."""

from __future__ import annotations

import asyncio

import pytest

from pytest_uno.core.task_group import TaskGroup
from tests.core.coroutines import passes
from tests.core.task_groups import both_modes, running_task

pytestmark = pytest.mark.asyncio


@both_modes
async def test_a_cancelled_host_cancels_its_tasks_once(cancel_on_error: bool) -> None:
    cancelled = 0

    async def stubborn() -> None:
        nonlocal cancelled
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled += 1
            await passes()
            cancelled += 10
            raise

    async def host() -> None:
        async with TaskGroup(cancel_on_error=cancel_on_error) as group:
            group.create_task(stubborn())

    task = asyncio.create_task(host())
    await passes()
    task.cancel()
    await passes(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled == 11


@both_modes
async def test_an_error_wins_over_a_cancellation_which_stays_pending(cancel_on_error: bool) -> None:
    events: list[str] = []

    async def fail_when_cancelled() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("in clean-up")

    async def host() -> None:
        try:
            async with TaskGroup(cancel_on_error=cancel_on_error) as group:
                group.create_task(fail_when_cancelled())
        except* ValueError:
            events.append("error")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    task = asyncio.create_task(host())
    await passes()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events == ["error", "cancelled"]


@both_modes
async def test_a_handled_failure_leaves_no_stale_cancellation(cancel_on_error: bool) -> None:
    async def fail_later() -> None:
        await passes()
        raise ValueError

    async with asyncio.timeout(None) as limit:
        for _ in range(3):
            try:
                async with TaskGroup(cancel_on_error=cancel_on_error) as group:
                    group.create_task(fail_later())
            except* ValueError:
                pass
            assert running_task().cancelling() == 0
    assert not limit.expired()


async def test_an_enclosing_timeout_still_works_after_a_failed_group() -> None:
    async def fail_later() -> None:
        await passes()
        raise ValueError

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit:
            try:
                async with TaskGroup() as group:
                    group.create_task(fail_later())
            except* ValueError:
                pass
            limit.reschedule(asyncio.get_running_loop().time())
            await asyncio.sleep(3600)


async def test_stale_cancellations_of_plain_groups_are_history() -> None:
    async def fail_later() -> None:
        await passes()
        raise ValueError

    for _ in range(2):
        try:
            async with asyncio.TaskGroup() as plain:
                plain.create_task(fail_later())
        except* ValueError:
            pass
    async with TaskGroup() as group:
        group.create_task(asyncio.sleep(3600))
        group.cancel()
        await asyncio.sleep(3600)
    with pytest.raises(ExceptionGroup):
        async with TaskGroup() as group:
            group.create_task(fail_later())
    await asyncio.sleep(0)  # nothing is pending
