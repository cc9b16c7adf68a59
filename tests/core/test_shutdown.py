"""AsyncManager.shutdown(): order and errors."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest

from pytest_uno.core.async_manager import AsyncManager, get_async_manager
from tests.core.coroutines import fail, hang, passes
from tests.core.jumping_loop import in_jumping_loop

# ---------------------------------------------------------------------------------------------- order


@in_jumping_loop
async def test_hooks_then_tasks_then_resources_each_newest_first() -> None:
    seen: list[str] = []
    manager = AsyncManager()

    async def work(name: str) -> None:
        try:
            await hang()
        finally:
            seen.append(name)

    for number in (1, 2):
        manager.add_shutdown_hook(functools.partial(seen.append, f"hook {number}"))
        await manager.register_resource(
            [], f"r{number}", close=functools.partial(seen.append, f"resource {number}")
        )
        manager.create_task(work(f"task {number}"))
    await passes()
    await manager.shutdown()
    assert seen == ["hook 2", "hook 1", "task 1", "task 2", "resource 2", "resource 1"]


@in_jumping_loop
async def test_hooks_may_be_async_and_see_the_manager() -> None:
    manager = AsyncManager()
    seen = []

    @manager.add_shutdown_hook
    async def hook() -> None:
        await passes()
        seen.append(get_async_manager())
        await asyncio.create_task(inner())

    async def inner() -> None:
        seen.append(get_async_manager())

    await manager.shutdown()
    assert seen == [manager, manager]


@in_jumping_loop
async def test_a_hook_may_use_what_is_still_there() -> None:
    manager = AsyncManager()
    queue: asyncio.Queue[int] = asyncio.Queue()
    done = []

    async def worker() -> None:
        while True:
            done.append(await queue.get())
            queue.task_done()

    manager.create_task(worker())
    queue.put_nowait(1)
    manager.add_shutdown_hook(queue.join)
    await manager.shutdown()
    assert done == [1]


@in_jumping_loop
async def test_it_is_idempotent() -> None:
    manager = AsyncManager()
    seen = []
    manager.add_shutdown_hook(lambda: seen.append(1))
    await manager.shutdown()
    await manager.shutdown()
    assert seen == [1]


@in_jumping_loop
async def test_concurrent_callers_wait_and_the_first_gets_the_errors() -> None:
    manager = AsyncManager()
    go_on = asyncio.Event()

    @manager.add_shutdown_hook
    async def slow() -> None:
        await go_on.wait()
        raise OSError

    callers = [asyncio.create_task(manager.shutdown()) for _ in range(3)]
    waiting = asyncio.create_task(manager.wait_for_shutdown())
    await passes(10)
    assert not any(task.done() for task in (*callers, waiting))
    go_on.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    await waiting
    assert [type(result) for result in results] == [ExceptionGroup, type(None), type(None)]
    await manager.wait_for_shutdown()  # at once


# ---------------------------------------------------------------------------------------------- errors


@in_jumping_loop
async def test_everything_is_attempted_then_one_group_is_raised() -> None:
    manager = AsyncManager("app")
    hook, task, resource = OSError("hook"), ValueError("task"), KeyError("resource")
    seen = []

    def fail_sync(error: Exception) -> Callable[[], None]:
        def close() -> None:
            raise error

        return close

    manager.add_shutdown_hook(lambda: seen.append("hook"))
    manager.add_shutdown_hook(fail_sync(hook))

    async def fails_when_cancelled() -> None:
        try:
            await hang()
        finally:
            raise task

    manager.create_task(fails_when_cancelled(), name="worker")
    await manager.register_resource([], "first", close=lambda: seen.append("resource"))
    await manager.register_resource([], "second", close=fail_sync(resource))
    await passes()
    with pytest.raises(ExceptionGroup, match="errors while shutting down manager 'app'") as caught:
        await manager.shutdown()
    assert caught.value.exceptions == manager.errors == (hook, task, resource)
    assert seen == ["hook", "resource"]
    assert manager.state == "closed"
    assert hook.__notes__[0].startswith("raised by shutdown hook ")
    assert task.__notes__ == ["in task 'worker' of 'app'"]
    assert resource.__notes__ == ["raised by closing resource 'second' of 'app'"]


@in_jumping_loop
async def test_a_body_error_keeps_priority_and_shutdown_errors_are_notes_and_reported() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    with pytest.raises(ValueError, match="body") as caught:
        async with AsyncManager("app") as manager:
            manager.add_shutdown_hook(lambda: 1 / 0)
            raise ValueError("body")
    assert len(caught.value.__notes__) == 1
    assert "and while shutting down manager 'app': ZeroDivisionError" in caught.value.__notes__[0]
    assert [context["message"] for context in reported] == ["error while shutting down manager 'app'"]
    assert reported[0]["exception"] is manager.errors[0]


@in_jumping_loop
async def test_without_a_body_error_the_block_raises_the_shutdown_errors() -> None:
    with pytest.raises(ExceptionGroup):
        async with AsyncManager() as manager:
            manager.add_shutdown_hook(lambda: 1 / 0)


@in_jumping_loop
async def test_a_failure_during_the_shutdown_is_raised_by_it_and_not_reported() -> None:
    reported: list[object] = []
    manager = AsyncManager(on_task_error=lambda *args: reported.append(args))
    error = ValueError()
    manager.add_shutdown_hook(passes)  # while it runs, the task fails
    task = manager.create_task(fail(error))
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown()
    await passes()
    assert caught.value.exceptions == (error,)
    assert task.exception() is error
    assert reported == []
