from __future__ import annotations

import asyncio

import pytest

from pytest_uno.core.timeouts import timeout
from tests.core.jumping_loop import in_jumping_loop


@in_jumping_loop
async def test_the_error_says_after_how_long_and_where() -> None:
    with pytest.raises(TimeoutError) as caught:
        async with timeout(2.5):
            await asyncio.sleep(3)
    message = str(caught.value)
    assert message.startswith("timed out after 2.5 s in test_the_error_says_after_how_long_and_where (")
    assert "test_timeouts.py:" in message
    assert asyncio.get_running_loop().time() == 2.5


@in_jumping_loop
async def test_the_message_can_be_given() -> None:
    with pytest.raises(TimeoutError, match=r"^no answer$"):
        async with timeout(1, "no answer"):
            await asyncio.sleep(3)


@in_jumping_loop
async def test_the_bodys_own_error_keeps_its_message() -> None:
    with pytest.raises(TimeoutError, match=r"^own$"):
        async with timeout(1, "not this"):
            raise TimeoutError("own")
    with pytest.raises(TimeoutError, match=r"^inner$"):
        async with timeout(10, "outer"), timeout(1, "inner"):
            await asyncio.sleep(3)


@in_jumping_loop
async def test_in_time() -> None:
    async with timeout(5) as limit:
        assert limit.when() == 5
        await asyncio.sleep(1)
    async with timeout(None) as limit:
        assert limit.when() is None
    await asyncio.sleep(10)


@in_jumping_loop
async def test_a_limit_from_reschedule_has_no_length() -> None:
    with pytest.raises(TimeoutError, match=r"^timed out in test_a_limit"):
        async with timeout(None) as limit:
            limit.reschedule(1)
            await asyncio.sleep(3)


@in_jumping_loop
async def test_a_cancellation_is_not_a_timeout() -> None:
    async def work() -> None:
        async with timeout(5):
            await asyncio.sleep(3)

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@in_jumping_loop
async def test_it_is_used_once() -> None:
    limit = timeout(5)
    async with limit:
        pass
    with pytest.raises(RuntimeError):
        await limit.__aenter__()
