from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pytest_uno.core.asyncio_internals import (
    FAILED_GROUP_CANCELS_HOST,
    GROUP_HAS_CANCEL,
    abort_group,
    has_pending_cancellation,
    is_group_aborting,
    is_host_cancelled_by_group,
    peek_exception,
)

pytestmark = pytest.mark.asyncio


async def fail() -> None:
    raise ValueError


async def test_peeking_is_not_looking() -> None:
    reports: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))
    task = asyncio.create_task(fail())
    assert peek_exception(task) is None
    await asyncio.wait([task])
    assert isinstance(peek_exception(task), ValueError)
    del task
    assert len(reports) == 1  # asyncio still says that nobody has looked


async def test_peeking_at_what_was_seen_or_never_failed() -> None:
    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    task.exception()
    assert peek_exception(task) is None
    fine = asyncio.create_task(asyncio.sleep(0))
    await fine
    assert peek_exception(fine) is None
    fine = asyncio.create_task(asyncio.sleep(0))
    fine.cancel()
    await asyncio.wait([fine])
    assert peek_exception(fine) is None


@pytest.mark.parametrize("state", ["unfinished", "cancelled", "failed"])
async def test_peeking_at_a_future_of_another_library(state: str) -> None:
    class Foreign:
        def done(self) -> bool:
            return state != "unfinished"

        def cancelled(self) -> bool:
            return state == "cancelled"

        def exception(self) -> BaseException:
            return error

    error = ValueError()
    foreign: Any = Foreign()
    assert peek_exception(foreign) is (error if state == "failed" else None)


async def test_aborting_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(asyncio.sleep(3600))
        assert not is_group_aborting(group)
        assert not is_host_cancelled_by_group(group)
        abort_group(group)
        assert is_group_aborting(group)
        assert not is_host_cancelled_by_group(group)
        coro = asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="shutting down"):
            group.create_task(coro)
        coro.close()
    assert task.cancelled()


async def test_a_group_cancels_its_host() -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await asyncio.sleep(3600)
    except* ValueError:
        pass
    assert is_host_cancelled_by_group(group)


async def test_a_failed_group_leaves_a_stale_cancellation_on_old_pythons() -> None:
    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise ValueError

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail_later())
    except* ValueError:
        pass
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == int(FAILED_GROUP_CANCELS_HOST)


async def test_a_pending_cancellation() -> None:
    async def host() -> bool:
        task = asyncio.current_task()
        assert task is not None
        before = has_pending_cancellation(task)
        task.cancel()
        pending = has_pending_cancellation(task)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return not before and pending and not has_pending_cancellation(task)
        return False

    assert await asyncio.create_task(host())


async def test_cancel_is_there_when_we_say_so() -> None:
    assert hasattr(asyncio.TaskGroup(), "cancel") == GROUP_HAS_CANCEL
