"""The tasks and task groups of an AsyncManager."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import sys
import weakref
from collections.abc import Coroutine
from typing import Any

import pytest

from pytest_uno.core.async_manager import AsyncManager, get_async_manager, use_manager
from pytest_uno.core.errors import ManagerClosedError, UnoError
from tests.core.coroutines import fail, hang, passes
from tests.core.jumping_loop import in_jumping_loop


@in_jumping_loop
async def test_tasks_run_named_and_see_their_manager() -> None:
    manager = AsyncManager()

    async def work() -> AsyncManager:
        return get_async_manager()

    task = manager.create_task(work(), name="worker")
    assert task.get_name() == "worker"
    assert manager.tasks == {task}
    assert await task is manager
    assert manager.tasks == frozenset()
    assert get_async_manager() is not manager
    async with manager:
        assert await manager.create_task(work()) is manager


@in_jumping_loop
async def test_a_context_of_your_own_is_left_alone() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    context = contextvars.copy_context()

    async def work() -> AsyncManager:
        variable.set(1)
        return get_async_manager()

    manager = AsyncManager()
    assert await manager.create_task(work(), context=context) is not manager
    assert context[variable] == 1


@in_jumping_loop
async def test_a_running_task_is_kept_alive() -> None:
    manager = AsyncManager()
    ended = []

    async def work() -> None:
        # Nothing but the manager refers to this task and its future.
        future = asyncio.get_running_loop().create_future()
        waiting.append(weakref.ref(future))
        try:
            await future
        finally:
            ended.append(True)

    waiting: list[weakref.ref[Any]] = []
    manager.create_task(work())
    await passes()
    gc.collect()
    future = waiting[0]()
    assert future is not None
    future.set_result(None)
    del future
    await passes()
    assert ended == [True]


@in_jumping_loop
async def test_a_closing_or_closed_manager_refuses_tasks_and_closes_the_coroutine() -> None:
    manager = AsyncManager("late")
    refused: list[ManagerClosedError] = []

    @manager.add_shutdown_hook
    def try_to_start() -> None:
        coro = passes()
        with pytest.raises(ManagerClosedError, match="manager 'late' is closing") as caught:
            manager.create_task(coro)
        assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED
        refused.append(caught.value)

    await manager.shutdown()
    assert isinstance(refused[0], RuntimeError)
    assert isinstance(refused[0], UnoError)
    coro = passes()
    with pytest.raises(ManagerClosedError, match="manager 'late' is closed"):
        manager.create_task(coro)
    assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED
    for refuse in (manager.add_startup_hook, manager.add_shutdown_hook):
        with pytest.raises(ManagerClosedError):
            refuse(print)


@in_jumping_loop
async def test_what_is_no_coroutine_is_refused_as_asyncio_does() -> None:
    manager = AsyncManager()
    with pytest.raises(TypeError, match="a coroutine was expected"):
        manager.create_task(passes)  # type: ignore[arg-type]
    coro = passes()
    with pytest.raises(TypeError):
        manager.create_task(coro, no_such_option=1)
    assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED
    assert manager.tasks == frozenset()


@in_jumping_loop
async def test_a_task_factory_that_knows_no_context_makes_tasks_of_the_manager() -> None:
    manager = AsyncManager()
    loop = asyncio.get_running_loop()

    def factory(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=loop)

    async def work() -> AsyncManager:
        return get_async_manager()

    loop.set_task_factory(factory)  # type: ignore[arg-type, unused-ignore]
    try:
        assert await manager.create_task(work()) is manager
        with use_manager(manager):
            assert await manager.create_task(work()) is manager
    finally:
        loop.set_task_factory(None)
    await manager.shutdown()


@in_jumping_loop
async def test_a_name_reaches_the_task_through_a_factory() -> None:
    manager = AsyncManager()
    loop = asyncio.get_running_loop()
    asked: list[dict[str, Any]] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> Any:
        asked.append(dict(options))
        return asyncio.Task(coro, loop=loop, **options)

    async def work() -> None: ...

    loop.set_task_factory(factory)  # type: ignore[arg-type, unused-ignore]
    try:
        named = manager.create_task(work(), name="the worker")
        with use_manager(manager):
            also_named = manager.create_task(work(), name="another")
            unnamed = manager.create_task(work())
    finally:
        loop.set_task_factory(None)
    await asyncio.gather(named, also_named, unnamed)
    assert [named.get_name(), also_named.get_name()] == ["the worker", "another"]
    assert asked[2].get("name") is None
    assert manager.tasks == frozenset()
    await manager.shutdown()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
@in_jumping_loop
async def test_eager_tasks_are_managed() -> None:
    manager = AsyncManager()
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]

    async def work() -> AsyncManager:
        return get_async_manager()

    done = manager.create_task(work())
    assert done.done()
    assert done.result() is manager
    waiting = manager.create_task(hang())
    await passes()
    assert manager.tasks == {waiting}
    await manager.shutdown()
    assert waiting.cancelled()


@in_jumping_loop
async def test_groups_are_listed_while_open() -> None:
    manager = AsyncManager()
    async with manager.task_group("crawl", history=5) as group:
        task = group.create_task(hang())
        own = manager.create_task(hang())
        assert group.name == "crawl"
        assert manager.tasks == {task, own}
        assert "tasks=2" in repr(manager)
        task.cancel()
    assert manager.tasks == {own}
    await manager.shutdown()


@in_jumping_loop
async def test_group_tasks_see_their_manager() -> None:
    manager = AsyncManager()

    async def work() -> AsyncManager:
        return get_async_manager()

    async with manager.task_group() as group:
        task = group.create_task(work())
        context = contextvars.copy_context()
        other = group.create_task(work(), context=context)
    assert task.result() is manager
    assert other.result() is not manager


@in_jumping_loop
async def test_a_group_of_a_closed_manager_cannot_be_entered() -> None:
    manager = AsyncManager()
    await manager.shutdown()
    with pytest.raises(ManagerClosedError):
        async with manager.task_group():
            pytest.fail("must not be entered")


@in_jumping_loop
async def test_a_group_passes_errors_and_modes_on() -> None:
    manager = AsyncManager()
    ended = []

    async def sibling() -> None:
        await passes()
        ended.append(True)

    with pytest.raises(ExceptionGroup) as caught:
        async with manager.task_group(cancel_on_error=False) as group:
            group.create_task(fail(ValueError("first")))
            group.create_task(sibling())
    assert ended == [True]
    assert str(caught.value.exceptions[0]) == "first"
    assert not manager.failures
