"""The time limits of AsyncManager.shutdown()."""

from __future__ import annotations

import asyncio

import pytest

from pytest_uno.core.async_manager import AsyncManager
from pytest_uno.core.errors import TaskLeakError
from tests.core.coroutines import hang, passes
from tests.core.jumping_loop import in_jumping_loop, run
from tests.core.stubborn import Stubborn, end_leaked


@in_jumping_loop
async def test_hooks_and_closers_are_bounded_and_cancelled() -> None:
    manager = AsyncManager("app", shutdown_timeout=30, close_timeout=4)
    loop = asyncio.get_running_loop()
    times = []

    async def slow() -> None:
        before = loop.time()
        try:
            await hang()
        finally:
            times.append(loop.time() - before)

    await manager.register_resource([], "default", close=slow)
    await manager.register_resource([], "own", close=slow, timeout=1)
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown()
    assert times == [1, 4]
    assert [type(error) for error in caught.value.exceptions] == [TimeoutError, TimeoutError]
    assert "closing resource 'own' of 'app' was cancelled: it did not end within 1 s" in str(
        caught.value.exceptions[0]
    )


@in_jumping_loop
async def test_no_step_starves_the_next_and_the_deadline_holds() -> None:
    manager = AsyncManager(shutdown_timeout=16, close_timeout=2)
    loop = asyncio.get_running_loop()
    stubborn = Stubborn()
    closed = []

    async def close() -> None:
        await asyncio.sleep(0.5)
        closed.append(loop.time())

    manager.add_shutdown_hook(hang)
    manager.create_task(stubborn())
    await manager.register_resource([], close=close)
    await passes()
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown()
    assert [type(error) for error in caught.value.exceptions] == [TimeoutError, TaskLeakError]
    assert len(closed) == 1
    assert loop.time() <= 16
    await end_leaked(caught.value.exceptions, stubborn)


@in_jumping_loop
async def test_one_shutdown_may_have_another_limit() -> None:
    manager = AsyncManager()
    loop = asyncio.get_running_loop()
    manager.add_shutdown_hook(hang)
    with pytest.raises(ExceptionGroup):
        await manager.shutdown(timeout=0.5)
    assert loop.time() == 0.5


@pytest.mark.parametrize("limit", [0, float("inf")])
def test_limits_may_be_extreme(limit: float) -> None:
    async def main() -> None:
        manager = AsyncManager(shutdown_timeout=limit, close_timeout=limit)
        ended = []

        async def close() -> None:
            await passes(5)
            ended.append(True)

        async def work() -> None:
            try:
                await hang()
            finally:
                await passes(5)
                ended.append(True)

        manager.add_shutdown_hook(close)
        manager.create_task(work())
        await manager.register_resource([], close=close)
        await passes()
        await manager.shutdown()
        assert ended == [True] * 3

    run(main())


@in_jumping_loop
async def test_without_time_every_closer_is_still_started_and_what_is_late_is_cancelled() -> None:
    manager = AsyncManager()
    started, ended = [], []

    async def close() -> None:
        started.append(True)
        try:
            await hang()
        finally:
            await passes(5)
            ended.append(True)

    for number in range(3):
        await manager.register_resource([], f"r{number}", close=close)
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown(timeout=0)
    assert [type(error) for error in caught.value.exceptions] == [TimeoutError] * 3
    assert len(started) == len(ended) == 3
    assert asyncio.get_running_loop().time() == 0
