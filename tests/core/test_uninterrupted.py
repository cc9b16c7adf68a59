from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pytest_uno.core.uninterrupted import await_uninterrupted

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("ends", ["well", "badly", "cancelled"])
async def test_a_cancellation_waits_for_the_cleanup(ends: str) -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))
    begun, go_on = asyncio.Event(), asyncio.Event()
    error = OSError("disk full")
    steps: list[str] = []

    async def clean_up() -> None:
        begun.set()
        await go_on.wait()
        steps.append("cleaned up")
        if ends == "badly":
            raise error
        if ends == "cancelled":
            raise asyncio.CancelledError("its own")

    caller = asyncio.create_task(await_uninterrupted(clean_up()))
    await begun.wait()
    caller.cancel("from outside")
    await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError) as caught:
        await caller
    assert steps == ["cleaned up"]
    assert caught.value.args == ("from outside",)
    notes = getattr(caught.value, "__notes__", [])
    if ends == "badly":
        assert notes == ["while waiting for cleanup that failed: OSError('disk full')"]
        assert [report["exception"] for report in reports] == [error]
        assert reports[0]["message"] == "cleanup failed while its task was being cancelled"
    else:
        assert notes == []
        assert reports == []


async def test_results_and_errors_come_out_when_nothing_interrupts() -> None:
    async def fail() -> None:
        raise OSError("disk full")

    assert await await_uninterrupted(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(OSError, match="disk full"):
        await await_uninterrupted(fail())
