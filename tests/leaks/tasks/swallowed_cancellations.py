"""Tests in which a task swallows a cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

import pytest

from pytest_uno import timeout
from tests.leaks.examples import listed_with

__all__ = ["KEPT", "LEAKY", "cancel", "cancelled_last_thing", "forever", "swallow"]

LEAKY: list[Any] = []
KEPT: list[Any] = []

leaks = listed_with(LEAKY)


async def forever() -> None:
    await asyncio.Event().wait()


async def swallow() -> str:
    with contextlib.suppress(asyncio.CancelledError):
        await forever()
    return "as if nothing had happened"


async def cancel(task: asyncio.Task[Any]) -> Any:
    await asyncio.sleep(0.001)
    task.cancel()
    return await task


@leaks("swallow")
async def cancelled_and_awaited() -> None:
    task = asyncio.create_task(swallow())  # LEAK
    assert await cancel(task)


@leaks("swallow")
async def cancelled_and_dropped() -> None:
    task = asyncio.create_task(swallow())  # LEAK
    await asyncio.sleep(0)
    task.cancel()
    del task
    await asyncio.sleep(0.001)


@leaks("swallow")
async def cancelled_last_thing() -> None:
    task = asyncio.create_task(swallow())  # LEAK
    await asyncio.sleep(0)
    task.cancel()


@leaks("swallow")
async def done_in_the_last_turn() -> None:
    KEPT.append(task := asyncio.create_task(swallow()))  # LEAK
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)


@leaks("cancelled_by_its_outer_task.<locals>.outer")
async def cancelled_by_its_outer_task() -> None:
    async def outer() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.create_task(forever())

    task = asyncio.create_task(outer())  # LEAK
    await cancel(task)


@leaks("swallow")
async def inner_of_a_cancelled_task() -> None:
    async def outer() -> None:
        await asyncio.create_task(swallow())  # LEAK

    await cancel(asyncio.create_task(outer()))


@leaks("swallow")
async def gathered() -> None:
    async def outer() -> None:
        await asyncio.gather(swallow(), forever())  # LEAK

    with pytest.raises(asyncio.CancelledError):
        await cancel(asyncio.create_task(outer()))


@leaks("gathered_and_swallowed_outside.<locals>.outer")
async def gathered_and_swallowed_outside() -> None:
    async def outer() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(forever(), forever())

    await cancel(asyncio.create_task(outer()))  # LEAK


@leaks("swallow")
async def by_a_timer() -> None:
    task = asyncio.create_task(swallow())  # LEAK
    asyncio.get_running_loop().call_later(0.001, task.cancel)
    await task


@leaks("twice.<locals>.stubborn")
async def twice() -> None:
    async def stubborn() -> None:
        await swallow()
        await swallow()

    task = asyncio.create_task(stubborn())  # LEAK
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
    await task


@leaks("of_itself.<locals>.job")
async def of_itself() -> None:
    async def job() -> None:
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)

    await asyncio.create_task(job())  # LEAK


@leaks("in_a_group_that_fails_nobody.<locals>.job")
async def in_a_group_that_fails_nobody() -> None:
    async def job() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as group:
                group.create_task(forever())

    await cancel(asyncio.create_task(job()))  # LEAK


@leaks("expired")
async def expired() -> None:
    async with asyncio.timeout(0.001):  # LEAK
        with contextlib.suppress(asyncio.CancelledError):
            await forever()


@leaks("expired_with_our_timeout")
async def expired_with_our_timeout() -> None:
    async with timeout(0.001):  # LEAK
        await swallow()


@leaks("rescheduled_into_the_past")
async def rescheduled_into_the_past() -> None:
    async with asyncio.timeout(None) as block:  # LEAK
        block.reschedule(asyncio.get_running_loop().time() - 1)
        await swallow()


@leaks("swallow" if sys.version_info < (3, 12) else "expired_in_wait_for")
async def expired_in_wait_for() -> None:
    assert await asyncio.wait_for(swallow(), 0.001)  # LEAK


@leaks("swallow")
async def inner_of_an_expired_block() -> None:
    async with asyncio.timeout(0.001):
        await asyncio.create_task(swallow())  # LEAK
