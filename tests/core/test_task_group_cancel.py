"""TaskGroup.cancel() and TaskGroup.cancel_all()."""

from __future__ import annotations

import asyncio
import sys

import pytest

from pytest_uno.core.task_group import TaskGroup
from tests.core.coroutines import passes, return_it
from tests.core.task_groups import both_modes, running_task

pytestmark = pytest.mark.asyncio


@both_modes
async def test_cancel_ends_tasks_and_body(cancel_on_error: bool) -> None:
    reached = False
    async with TaskGroup(cancel_on_error=cancel_on_error) as group:
        task = group.create_task(asyncio.sleep(3600))
        await passes(1)
        group.cancel()
        group.cancel()
        await asyncio.sleep(0)
        reached = True
    assert task.cancelled()
    assert not reached
    assert running_task().cancelling() == 0
    await asyncio.sleep(0)


@both_modes
async def test_cancel_when_the_body_ends_without_noticing(cancel_on_error: bool) -> None:
    async with TaskGroup(cancel_on_error=cancel_on_error) as group:
        task = group.create_task(asyncio.sleep(3600))
        group.cancel()
    assert task.cancelled()
    await asyncio.sleep(0)
    assert running_task().cancelling() == 0


@both_modes
async def test_cancel_from_a_task_while_the_host_waits(cancel_on_error: bool) -> None:
    async def stop() -> None:
        await passes()
        group.cancel()

    async with TaskGroup(cancel_on_error=cancel_on_error) as group:
        task = group.create_task(asyncio.sleep(3600))
        group.create_task(stop())
    assert task.cancelled()
    await asyncio.sleep(0)
    assert running_task().cancelling() == 0


@both_modes
async def test_cancel_before_entering_and_after_leaving(cancel_on_error: bool) -> None:
    group = TaskGroup(cancel_on_error=cancel_on_error)
    group.cancel()
    reached = False
    async with group:
        await asyncio.sleep(0)
        reached = True
    assert not reached
    group.cancel()
    await asyncio.sleep(0)


@both_modes
async def test_errors_after_cancel_are_raised(cancel_on_error: bool) -> None:
    async def fail_when_cancelled() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("clean-up")

    with pytest.raises(ExceptionGroup) as caught:
        async with TaskGroup("g", cancel_on_error=cancel_on_error) as group:
            group.create_task(fail_when_cancelled())
            await passes(1)
            group.cancel()
            await asyncio.sleep(0)
    assert [type(error) for error in caught.value.exceptions] == [ValueError]
    assert running_task().cancelling() == 0

    with pytest.raises(ExceptionGroup) as caught:
        async with TaskGroup("g", cancel_on_error=cancel_on_error) as group:
            group.cancel()
            raise KeyError("body")
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert running_task().cancelling() == 0


@both_modes
@pytest.mark.parametrize("inner_first", [True, False])
async def test_cancel_does_not_swallow_a_cancellation_from_outside(
    cancel_on_error: bool, inner_first: bool
) -> None:
    entered: list[TaskGroup] = []

    async def host() -> str:
        async with TaskGroup(cancel_on_error=cancel_on_error) as group:
            entered.append(group)
            group.create_task(asyncio.sleep(3600))
            await asyncio.sleep(3600)
        return "swallowed"

    task = asyncio.create_task(host())
    await passes()
    for step in (entered[0].cancel, task.cancel) if inner_first else (task.cancel, entered[0].cancel):
        step()
    with pytest.raises(asyncio.CancelledError):
        await task


@both_modes
async def test_a_cancellation_from_outside_after_cancel_while_waiting(cancel_on_error: bool) -> None:
    release = asyncio.Event()

    async def slow_clean_up() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await release.wait()

    entered: list[TaskGroup] = []

    async def host() -> str:
        async with TaskGroup(cancel_on_error=cancel_on_error) as group:
            entered.append(group)
            group.create_task(slow_clean_up())
            await asyncio.sleep(3600)
        return "swallowed"

    task = asyncio.create_task(host())
    await passes()
    entered[0].cancel()
    await passes()
    task.cancel()
    await passes()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task


@both_modes
async def test_both_cancellations_when_the_body_ends_without_noticing(cancel_on_error: bool) -> None:
    events: list[str] = []

    async def host() -> None:
        async with TaskGroup(cancel_on_error=cancel_on_error) as group:
            group.cancel()
            running_task().cancel()
        events.append("left")
        await asyncio.sleep(0)
        events.append("swallowed")

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(host())
    assert "swallowed" not in events


@both_modes
async def test_both_cancellations_when_the_body_fails_without_noticing(cancel_on_error: bool) -> None:
    events: list[str] = []

    async def host() -> None:
        try:
            async with TaskGroup(cancel_on_error=cancel_on_error) as group:
                group.cancel()
                running_task().cancel()
                raise ValueError
        except* ValueError:
            events.append("error")
        await asyncio.sleep(0)
        events.append("swallowed")

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(host())
    assert events == ["error"]


@both_modes
async def test_cancel_does_not_break_into_clean_up(cancel_on_error: bool) -> None:
    release = asyncio.Event()
    clean = False

    async def slow_clean_up() -> None:
        nonlocal clean
        try:
            await asyncio.sleep(3600)
        finally:
            await release.wait()
            clean = True

    async def host(group: TaskGroup) -> None:
        async with group:
            group.create_task(slow_clean_up())
            await passes(1)
            raise ValueError  # cancels the task

    group = TaskGroup(cancel_on_error=cancel_on_error)
    task = asyncio.create_task(host(group))
    await passes()
    group.cancel()
    await passes()
    release.set()
    with pytest.raises(ExceptionGroup):
        await task
    assert clean


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
@both_modes
async def test_an_eager_task_that_cancels_the_group_is_cancelled(cancel_on_error: bool) -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - unknown to 3.11
    ended: list[str] = []

    async def cancel_and_go_on() -> None:
        group.cancel()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    try:
        async with TaskGroup(cancel_on_error=cancel_on_error) as group:
            group.create_task(cancel_and_go_on())
    finally:
        loop.set_task_factory(None)
    assert ended == ["cancelled"]


# ---------------------------------------------------------------------------------------------- cancel_all()


@both_modes
async def test_cancel_all_leaves_the_group_open(cancel_on_error: bool) -> None:
    async with TaskGroup(cancel_on_error=cancel_on_error) as group:
        tasks = [group.create_task(asyncio.sleep(3600)) for _ in range(3)]
        await passes(1)
        await group.cancel_all("enough")
        assert all(task.cancelled() for task in tasks)
        await group.cancel_all()
        assert await group.create_task(return_it(5)) == 5


@both_modes
async def test_cancel_all_spares_the_caller(cancel_on_error: bool) -> None:
    async def stop_others() -> str:
        await group.cancel_all()
        return "alive"

    async with TaskGroup(cancel_on_error=cancel_on_error) as group:
        other = group.create_task(asyncio.sleep(3600))
        caller = group.create_task(stop_others())
    assert other.cancelled()
    assert caller.result() == "alive"
