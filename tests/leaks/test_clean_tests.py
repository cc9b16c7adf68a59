"""Tests that look like leaks and are none: each must stay silent."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import warnings
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tests.leaks.examples import Test, listed_in

CLEAN: list[Any] = []

clean = listed_in(CLEAN)


async def work(delay: float = 0) -> float:
    await asyncio.sleep(delay)
    return delay


async def forever() -> None:
    await asyncio.Event().wait()


async def boom() -> None:
    raise RuntimeError("boom")


@clean
async def task_awaited_late() -> None:
    task = asyncio.create_task(work(0))
    await asyncio.sleep(0)
    assert await task == 0


@clean
async def task_cancelled_and_awaited() -> None:
    task = asyncio.create_task(forever())
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@clean
async def task_cancelled_at_the_very_end() -> None:
    task = asyncio.create_task(forever())
    await asyncio.sleep(0)
    task.cancel()


@clean
async def task_cancelled_with_a_short_cleanup() -> None:
    async def job() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    task = asyncio.create_task(job())
    await asyncio.sleep(0)
    task.cancel()


@clean
async def task_cancelled_with_a_cleanup_in_real_time() -> None:
    async def job() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.002)

    task = asyncio.create_task(job())
    await asyncio.sleep(0)
    task.cancel()


@clean
async def task_finished_and_never_awaited() -> None:
    asyncio.create_task(work(0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@clean
async def task_that_ends_within_the_grace() -> None:
    async def quick() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    asyncio.create_task(quick())


@clean
async def exception_retrieved_by_hand() -> None:
    task = asyncio.create_task(boom())
    await asyncio.wait([task])
    assert isinstance(task.exception(), RuntimeError)


@clean
async def exception_retrieved_by_await() -> None:
    task = asyncio.create_task(boom())
    with pytest.raises(RuntimeError):
        await task


@clean
async def exception_retrieved_by_a_callback() -> None:
    seen: list[BaseException | None] = []
    task = asyncio.create_task(boom())
    task.add_done_callback(lambda task: seen.append(task.exception()))
    for _ in range(3):
        await asyncio.sleep(0)
    assert seen


@clean
async def gather_returns_exceptions() -> None:
    results = await asyncio.gather(boom(), work(), return_exceptions=True)
    assert isinstance(results[0], RuntimeError)


@clean
async def task_group_that_fails() -> None:
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(forever())
            group.create_task(boom())


@clean
async def timeouts() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await forever()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(forever(), 0)
    await asyncio.wait_for(work(), 30)


@clean
async def shield_awaited_later() -> None:
    inner = asyncio.ensure_future(work(0.002))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(inner), 0.0001)
    await inner


@clean
async def many_tasks() -> None:
    assert len(await asyncio.gather(*(work(0) for _ in range(5000)))) == 5000


@clean
async def current_task_in_a_local_variable() -> None:
    me = asyncio.current_task()
    assert me


@clean
async def futures_left_alone() -> None:
    loop = asyncio.get_running_loop()
    loop.create_future()
    loop.create_future().cancel()


@clean
async def coroutine_closed() -> None:
    work().close()


@clean
async def coroutine_awaited_late() -> None:
    coro = work()
    gc.collect()
    await coro


@clean
async def coroutine_expected_to_be_dropped() -> None:
    with pytest.warns(RuntimeWarning, match="was never awaited"):
        work()  # type: ignore[unused-coroutine]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()  # type: ignore[unused-coroutine]
    assert len(caught) == 1


@clean
async def mock_kept() -> None:
    mock = AsyncMock()
    coro = mock()
    await asyncio.sleep(0)
    coro.close()


if sys.version_info >= (3, 12):

    @clean
    async def eager_tasks() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        try:
            await asyncio.create_task(work(0))
            assert await asyncio.create_task(asyncio.sleep(0, 5)) == 5
        finally:
            loop.set_task_factory(None)


@pytest.mark.parametrize("test", CLEAN, ids=lambda test: test.__name__)
@pytest.mark.parametrize("loop_ends", [True, False])
def test_no_finding(bench: Any, test: Test, loop_ends: bool) -> None:
    assert bench.run_test(test, loop_ends=loop_ends) == []
    assert bench.unhandled == []
    gc.collect()
    assert bench.detection.drain() == []
