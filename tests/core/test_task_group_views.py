"""What a task group tells of its tasks, and how much of it is kept."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from pytest_uno.core.task_group import TaskGroup
from tests.core.coroutines import fail, passes, return_it
from tests.core.task_groups import both_modes, running_task

pytestmark = pytest.mark.asyncio


async def test_views_follow_the_tasks() -> None:
    gate = asyncio.Event()
    boom = ValueError("boom")
    with pytest.raises(ExceptionGroup):
        async with TaskGroup("views", cancel_on_error=False) as group:
            done = group.create_task(return_it(1))
            failed = group.create_task(fail(boom))
            stopped = group.create_task(asyncio.sleep(3600))
            waiting = group.create_task(gate.wait())
            stopped.cancel()
            await passes()
            assert group.tasks == [done, failed, stopped, waiting]
            assert group.active_tasks == [waiting]
            assert group.completed_tasks == [done, failed]
            assert group.cancelled_tasks == [stopped]
            assert group.failed_tasks == [failed]
            gate.set()
    assert group.active_tasks == []


async def test_a_view_is_a_copy() -> None:
    async with TaskGroup() as group:
        task = group.create_task(return_it(1))
        group.tasks.clear()
        assert group.tasks == [task]


async def test_names() -> None:
    async with TaskGroup("crawl") as group:
        first = group.create_task(return_it(1))
        second = group.create_task(return_it(2), name="own name")
        third = group.create_task(return_it(3))
    assert [task.get_name() for task in (first, second, third)] == ["crawl/0", "own name", "crawl/2"]
    assert group.name == "crawl"
    assert TaskGroup().name != TaskGroup().name
    assert TaskGroup("").name == ""


async def test_host_task_and_repr() -> None:
    group = TaskGroup("g")
    assert group.host_task is None
    assert repr(group) == "<TaskGroup 'g' new active=0>"
    async with group:
        assert group.host_task is running_task()
        group.create_task(return_it(1))
        assert repr(group) == "<TaskGroup 'g' entered active=1>"
    assert group.host_task is None
    assert repr(group) == "<TaskGroup 'g' left active=0>"


@both_modes
async def test_history_is_bounded(cancel_on_error: bool) -> None:
    async with TaskGroup(history=10, cancel_on_error=cancel_on_error) as group:
        keep = group.create_task(asyncio.sleep(3600))
        for number in range(1000):
            last = group.create_task(return_it(number))
            await passes(1)
            assert len(group.tasks) <= 64
        remembered = group.completed_tasks
        assert len(remembered) >= 10
        assert remembered[-1] is last
        assert group.active_tasks == [keep]
        keep.cancel()


async def test_history_zero_and_growth_with_active_tasks() -> None:
    gate = asyncio.Event()
    async with TaskGroup(history=0) as group:
        for _ in range(200):
            group.create_task(gate.wait())
        assert len(group.active_tasks) == 200
        gate.set()
    with pytest.raises(ValueError, match="history must not be negative"):
        TaskGroup(history=-1)


async def test_forgotten_tasks_are_freed() -> None:
    async with TaskGroup(history=5) as group:
        first = weakref.ref(group.create_task(return_it(1)))
        for _ in range(200):
            group.create_task(return_it(1))
            await passes(1)
        gc.collect()
        assert first() is None


async def test_a_failure_that_history_forgets_is_still_named() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with TaskGroup("g", history=0, cancel_on_error=False) as group:
            bad = group.create_task(fail(ValueError("x")), name="bad")
            for _ in range(100):
                group.create_task(return_it(1))
                await passes(1)
    assert bad not in group.tasks
    assert caught.value.exceptions[0].__notes__ == ["in task 'bad' of g"]
