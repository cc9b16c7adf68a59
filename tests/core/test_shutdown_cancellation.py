"""AsyncManager.shutdown() that is cancelled or hurried."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from typing import Any

import pytest

from pytest_uno.core.async_manager import AsyncManager
from pytest_uno.core.errors import TaskLeakError
from tests.core.coroutines import hang, passes
from tests.core.jumping_loop import JumpingLoop, in_jumping_loop, run
from tests.core.stubborn import Stubborn, end_leaked


@in_jumping_loop
async def test_cancelled_once_it_finishes_then_raises() -> None:
    manager = AsyncManager()
    go_on = asyncio.Event()
    closed = []

    async def close() -> None:
        await go_on.wait()
        closed.append(True)

    await manager.register_resource([], close=close)
    task = asyncio.create_task(manager.shutdown())
    await passes()
    task.cancel("why")
    await passes(20)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError, match="why"):
        await task
    assert closed == [True]
    assert manager.closed


@in_jumping_loop
async def test_errors_of_a_cancelled_shutdown_reach_the_exception_handler() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    manager = AsyncManager()

    async def close() -> None:
        await passes(10)
        raise OSError

    await manager.register_resource([], close=close)
    task = asyncio.create_task(manager.shutdown())
    await passes()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [type(context["exception"]) for context in reported] == [OSError]


def _cancel_twice(manager: AsyncManager, task: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    task.cancel()
    loop.call_soon(lambda: loop.call_soon(task.cancel))


def _hurry(manager: AsyncManager, task: asyncio.Task[None]) -> None:
    manager.hurry()
    manager.hurry()


def _request_again(manager: AsyncManager, task: asyncio.Task[None]) -> None:
    manager.request_shutdown()


@pytest.mark.parametrize("hurry", [_cancel_twice, _hurry, _request_again])
def test_hurried_it_waits_no_more_but_starts_every_closer(
    hurry: Callable[[AsyncManager, asyncio.Task[None]], None],
) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        manager = AsyncManager()
        stubborn = Stubborn()
        started = []

        async def close() -> None:
            started.append(True)
            await hang()

        manager.add_shutdown_hook(lambda: started.append(True))
        manager.add_shutdown_hook(close)
        worker = manager.create_task(stubborn())
        for number in range(2):
            await manager.register_resource([], f"r{number}", close=close)
        task = asyncio.create_task(manager.shutdown())
        await passes()
        hurry(manager, task)
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await task
        assert len(started) == 4
        assert asyncio.get_running_loop().time() == 0
        assert manager.closed
        assert stubborn.cancellations == 1
        assert [type(error) for error in manager.errors] == [TimeoutError, TaskLeakError] + [TimeoutError] * 2
        assert not worker.done()
        await end_leaked(manager.errors, stubborn)

    run(main())


@in_jumping_loop
async def test_hurrying_beforehand_counts() -> None:
    manager = AsyncManager()
    manager.add_shutdown_hook(hang)
    manager.hurry()
    with pytest.raises(ExceptionGroup):
        await manager.shutdown()
    assert asyncio.get_running_loop().time() == 0


@in_jumping_loop
async def test_a_shutdown_whose_own_task_is_cancelled_before_its_first_step_starts_over() -> None:
    manager = AsyncManager("app")
    closed = []
    await manager.register_resource([], close=lambda: closed.append(True))
    caller = asyncio.create_task(manager.shutdown())
    await asyncio.sleep(0)
    for task in asyncio.all_tasks():
        if task.get_name() == "app/shutdown":
            task.cancel()
    await caller
    assert closed == [True]


@pytest.mark.parametrize("number", range(6))
def test_the_end_of_the_loop_hurries_a_shutdown(number: int) -> None:
    started: list[str] = []

    async def main() -> None:
        manager = AsyncManager()
        manager.add_shutdown_hook(lambda: started.append("hook"))
        manager.create_task(hang())
        for name in ("r1", "r2"):
            await manager.register_resource([], name, close=functools.partial(started.append, name))
        background = asyncio.create_task(manager.shutdown())
        background.add_done_callback(lambda task: task.cancelled() or task.exception())
        await passes(number)  # wherever it is: asyncio.run now cancels all tasks

    loop = JumpingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    if number:  # 0: cancelled before it began
        assert started[-2:] == ["r2", "r1"]
    assert loop.time() == 0


@in_jumping_loop
async def test_a_hook_that_hurries_or_is_interrupted_at_the_end_of_its_loop() -> None:
    manager = AsyncManager("app")

    async def hook() -> None:
        for task in asyncio.all_tasks():
            if task.get_name() == "app/shutdown":
                task.cancel()
        await passes(5)

    manager.add_shutdown_hook(hook)
    manager.add_shutdown_hook(hook)
    await manager.shutdown()
    assert manager.closed
