"""AsyncManager.shutdown() called by what it has to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pytest_uno.core.async_manager import AsyncManager
from tests.core.coroutines import hang, passes
from tests.core.jumping_loop import in_jumping_loop, run


async def _directly(manager: AsyncManager) -> None:
    await manager.shutdown()


async def _in_a_task(manager: AsyncManager) -> None:
    await asyncio.create_task(manager.shutdown())


async def _in_a_group(manager: AsyncManager) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(manager.shutdown())


async def _through_another(manager: AsyncManager) -> None:
    async with AsyncManager() as other:
        other.add_shutdown_hook(manager.shutdown)


@pytest.mark.parametrize("again", [_directly, _in_a_task, _in_a_group, _through_another])
def test_a_hook_or_closer_that_shuts_down_again_does_not_deadlock(
    again: Callable[[AsyncManager], Any],
) -> None:
    async def main() -> None:
        manager = AsyncManager()
        manager.add_shutdown_hook(lambda: again(manager))
        await manager.register_resource([], close=lambda: again(manager))
        await manager.shutdown()
        assert asyncio.get_running_loop().time() == 0

    run(main())


@in_jumping_loop
async def test_managed_callers_are_neither_cancelled_nor_waited_for() -> None:
    manager = AsyncManager()
    after = []

    async def worker(name: str) -> None:
        await manager.shutdown()
        after.append(name)

    tasks = [manager.create_task(worker(name)) for name in ("first", "second")]
    bystander = manager.create_task(hang())
    await asyncio.gather(*tasks)
    assert after == ["first", "second"]
    assert bystander.cancelled()
    assert asyncio.get_running_loop().time() == 0


@in_jumping_loop
async def test_a_task_that_shuts_down_in_its_cleanup_is_not_waited_for() -> None:
    manager = AsyncManager()

    async def worker() -> None:
        try:
            await hang()
        finally:
            await manager.shutdown()

    task = manager.create_task(worker())
    await passes()
    await manager.shutdown()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.get_running_loop().time() == 0
    assert manager.errors == ()


@pytest.mark.parametrize("managed_host", [False, True])
def test_a_caller_in_a_group_does_not_deadlock_with_its_host(managed_host: bool) -> None:
    async def main() -> None:
        manager = AsyncManager()
        ended = []

        async def caller() -> None:
            await manager.shutdown()
            ended.append("caller")

        async def host() -> None:
            async with manager.task_group() as group:
                group.create_task(hang())
                group.create_task(caller())
            ended.append("host")

        async def outer_host() -> None:
            async with manager.task_group() as group:
                group.create_task(hang())
                group.create_task(host())
            ended.append("outer host")

        create_task = manager.create_task if managed_host else asyncio.create_task
        await create_task(outer_host())
        assert ended == ["caller", "host", "outer host"]
        assert asyncio.get_running_loop().time() == 0

    run(main())


def _await_task(coro: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, object]:
    async def await_task() -> None:
        await asyncio.create_task(coro)

    return await_task()


async def _gather(coro: Coroutine[Any, Any, None]) -> object:
    return await asyncio.gather(coro, asyncio.sleep(0))


async def _shield(coro: Coroutine[Any, Any, None]) -> object:
    return await asyncio.shield(coro)


@pytest.mark.parametrize("indirectly", [_await_task, _gather, _shield])
@pytest.mark.parametrize("where", ["task", "member"])
def test_a_task_that_awaits_a_caller_is_not_waited_for(
    indirectly: Callable[[Coroutine[Any, Any, None]], Coroutine[Any, Any, object]], where: str
) -> None:
    async def main() -> None:
        manager = AsyncManager()

        async def host() -> None:
            async with manager.task_group() as group:
                group.create_task(hang())
                group.create_task(indirectly(manager.shutdown()))

        task: asyncio.Task[object]
        if where == "task":  # noqa: SIM108 - one expression would be longer than a line
            task = manager.create_task(indirectly(manager.shutdown()))
        else:
            task = asyncio.create_task(host())
        await manager.wait_for_shutdown()
        assert asyncio.get_running_loop().time() == 0
        assert manager.errors == ()
        await asyncio.wait((task,))
        assert asyncio.get_running_loop().time() == 0

    run(main())


@in_jumping_loop
async def test_waiting_for_a_request() -> None:
    manager = AsyncManager()
    waiting = asyncio.create_task(manager.wait_for_request())
    await passes()
    assert not waiting.done()
    assert not manager.is_shutting_down()
    manager.request_shutdown()
    assert manager.is_shutting_down()
    assert manager.state == "new"
    await waiting
    await manager.wait_for_request()  # at once
    await manager.shutdown()
