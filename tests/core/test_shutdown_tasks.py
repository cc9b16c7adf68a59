"""AsyncManager.shutdown() and tasks: each is cancelled once, and those that stay are named."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from pytest_uno.core.async_manager import AsyncManager
from pytest_uno.core.errors import TaskLeakError
from pytest_uno.core.task_location import describe_task
from tests.core.coroutines import hang, passes
from tests.core.jumping_loop import in_jumping_loop
from tests.core.stubborn import Stubborn, end_leaked


@in_jumping_loop
async def test_each_task_is_cancelled_once() -> None:
    manager = AsyncManager()
    ended = []

    async def cleans_up(name: str) -> None:
        try:
            await hang()
        finally:
            await passes(5)  # a second cancellation would end it here
            ended.append(name)

    async def host(name: str) -> None:
        async with manager.task_group() as group:
            group.create_task(cleans_up(name))
            async with manager.task_group() as inner:
                inner.create_task(cleans_up(f"{name} inner"))

    async def hosting_child() -> None:
        async with manager.task_group(cancel_on_error=False) as group:
            group.create_task(cleans_up("grandchild"))

    manager.create_task(cleans_up("task"))
    manager.create_task(host("managed host"))
    unmanaged = asyncio.create_task(host("unmanaged host"))
    async with manager.task_group() as group:
        group.create_task(cleans_up("caller's"))
        group.create_task(hosting_child())
        await passes()
        await manager.shutdown()
        assert sorted(ended) == [
            "caller's",
            "grandchild",
            "managed host",
            "managed host inner",
            "task",
            "unmanaged host",
            "unmanaged host inner",
        ]
    await unmanaged  # its block is left without an error, as after TaskGroup.cancel()
    assert manager.tasks == frozenset()


@in_jumping_loop
async def test_groups_take_no_tasks_any_more() -> None:
    manager = AsyncManager("app")
    async with manager.task_group() as group:
        await manager.shutdown()
        coro = passes()
        with pytest.raises(RuntimeError, match="manager 'app' is closed"):
            group.create_task(coro)


@in_jumping_loop
async def test_grace_lets_tasks_end_by_themselves() -> None:
    manager = AsyncManager()
    loop = asyncio.get_running_loop()
    quick = manager.create_task(asyncio.sleep(2, "result"))
    slow = manager.create_task(asyncio.sleep(20))
    before = loop.time()
    await manager.shutdown(grace=5)
    assert quick.result() == "result"
    assert slow.cancelled()
    assert loop.time() - before == 5


@in_jumping_loop
async def test_stubborn_tasks_are_named_with_file_and_line() -> None:
    manager = AsyncManager("app", shutdown_timeout=3)
    loop = asyncio.get_running_loop()
    stubborn = Stubborn()
    task = manager.create_task(stubborn(), name="worker")
    other = manager.create_task(stubborn(), name="other")
    await passes()
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown()
    assert loop.time() == 3
    (error,) = caught.value.exceptions
    assert isinstance(error, TaskLeakError)
    assert error.tasks == (task, other)
    assert "2 tasks of manager 'app' did not end although cancelled" in str(error)
    assert "'worker' at " in str(error)
    code = Stubborn.__call__.__code__
    assert f"{code.co_filename}:{code.co_firstlineno + 3} in Stubborn.__call__" in str(error)
    assert stubborn.cancellations == 2
    assert manager.closed
    await end_leaked(caught.value.exceptions, stubborn)


@in_jumping_loop
async def test_futures_that_only_look_like_tasks_are_described_as_well() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert "Future pending" in describe_task(future)
    task = asyncio.create_task(passes(0), name="ended")
    await task
    assert describe_task(task) == "'ended'"

    class Waits:
        def __await__(self) -> Generator[Any, None, None]:
            yield from asyncio.Event().wait().__await__()

    async def consume() -> None:
        await Waits()

    task = asyncio.create_task(consume(), name="consumer")
    await passes()
    assert describe_task(task).endswith("Waits.__await__")
    task.cancel()
    await asyncio.wait((task,))
