"""Cancellations that a task swallows, and what only looks like one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from pytest_uno import AsyncManager, TaskGroup
from tests.leaks.examples import LineOf, Test, listed_in, on_both_loops
from tests.leaks.tasks.swallowed_cancellations import (
    KEPT,
    LEAKY,
    cancel,
    cancelled_last_thing,
    forever,
    swallow,
)

CLEAN: list[Any] = []

clean = listed_in(CLEAN)


@clean
async def raised_again() -> None:
    async def job() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            raise

    with pytest.raises(asyncio.CancelledError):
        await cancel(asyncio.create_task(job()))


@clean
async def cleaned_up() -> None:
    async def job() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.001)

    task = asyncio.create_task(job())
    await asyncio.sleep(0)
    task.cancel()


@clean
async def failed_instead() -> None:
    async def job() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            raise LookupError from None

    with pytest.raises(LookupError):
        await cancel(asyncio.create_task(job()))


@clean
async def taken_back() -> None:
    async def job() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        asyncio.current_task().uncancel()  # type: ignore[union-attr]

    await cancel(asyncio.create_task(job()))


async def fail() -> None:
    raise LookupError


@clean
async def taken_back_after_a_group() -> None:
    """3.11 and 3.12: a group that fails never takes its own cancellation back."""

    async def job() -> None:
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await forever()
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        asyncio.current_task().uncancel()  # type: ignore[union-attr]

    task = asyncio.create_task(job())
    await asyncio.sleep(0.001)
    await cancel(task)


@clean
async def too_late() -> None:
    async def job() -> str:
        return "done"

    task = asyncio.create_task(job())
    await asyncio.sleep(0)
    assert not task.cancel()
    assert await task == "done"


@clean
async def never_begun() -> None:
    task = asyncio.create_task(swallow())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@clean
async def cancelled_without_an_await() -> None:
    async def job() -> None:
        asyncio.current_task().cancel()  # type: ignore[union-attr]

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(job())


@clean
async def shielded() -> None:
    event = asyncio.Event()

    async def job() -> str:
        await event.wait()
        return "done"

    inner = asyncio.create_task(job())

    async def outer() -> None:
        await asyncio.shield(inner)

    with pytest.raises(asyncio.CancelledError):
        await cancel(asyncio.create_task(outer()))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(inner), 0.001)
    event.set()
    assert await inner == "done"


@clean
async def timeouts_and_groups() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(forever(), 0.001)
    async with asyncio.timeout(30):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001), asyncio.timeout(20):
                await forever()
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(swallow())
            group.create_task(fail())
            await forever()
    async with AsyncManager() as manager:
        manager.create_task(swallow())
        await asyncio.sleep(0)
    async with TaskGroup() as own:
        own.create_task(swallow())
        await asyncio.sleep(0)
        own.cancel()


@clean
async def a_task_with_a_timeout_of_its_own() -> None:
    async def job() -> str:
        try:
            async with asyncio.timeout(0.001):
                await forever()
        except TimeoutError:
            return "late"
        return "never"

    assert await asyncio.create_task(job()) == "late"


@clean
async def a_result_that_races_a_cancellation() -> None:
    """`wait_for` of 3.11 returns the result then, as if nobody had cancelled."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def job() -> str:
        return await asyncio.wait_for(ready, 30)

    task = asyncio.create_task(job())
    await asyncio.sleep(0)
    ready.set_result("ready")
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@clean
async def a_cancelled_future() -> None:
    asyncio.get_running_loop().create_future().cancel()


@clean
async def a_library_that_swallows() -> None:
    names: dict[str, Any] = {"forever": forever}
    source = """async def serve():
        try: await forever()
        except BaseException: pass"""
    exec(compile(source, "/x/site-packages/lib.py", "exec"), names)
    await cancel(asyncio.create_task(names["serve"]()))


@clean
async def anyio_scopes() -> None:
    anyio = pytest.importorskip("anyio")
    with anyio.move_on_after(0.001):
        await forever()

    async def job() -> None:
        with anyio.CancelScope() as scope:
            asyncio.get_running_loop().call_soon(scope.cancel)
            await forever()
        with anyio.move_on_after(0.001):
            await swallow()

    await asyncio.create_task(job())
    async with anyio.create_task_group() as group:
        group.start_soon(forever)
        await asyncio.sleep(0)
        group.cancel_scope.cancel()


@on_both_loops
@pytest.mark.parametrize(("test", "target"), LEAKY)
def test_a_swallowed_cancellation_is_reported_once_with_its_line(
    bench: Any, line_of: LineOf, test: Test, target: str
) -> None:
    findings = bench.run_test(test)
    KEPT.clear()
    assert [(each.rule, each.target) for each in findings] == [("UNO103", target)]
    assert findings[0].owner.name == test.__name__
    assert (findings[0].created[0].line, findings[0].created[0].in_app) == (line_of(test, "# LEAK"), True)
    assert bench.unhandled == []


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_what_only_looks_like_one_is_silent(bench: Any, test: Test) -> None:
    assert bench.run_test(test) == []
    assert bench.unhandled == []


def test_one_of_the_last_turn_is_reported_once_although_the_loop_goes_on(bench: Any) -> None:
    (finding,) = bench.run_test(cancelled_last_thing, loop_ends=False)
    assert finding.rule == "UNO103"
    assert bench.run_test(lambda: asyncio.sleep(0.001)) == []


def test_the_timeout_of_a_library_is_its_own_affair(bench: Any) -> None:
    names: dict[str, Any] = {"asyncio": asyncio, "swallow": swallow}
    source = """async def fetch():
        async with asyncio.timeout(0.001):
            await swallow()"""
    exec(compile(source, "/x/site-packages/lib.py", "exec"), names)
    assert bench.run_test(names["fetch"]) == []
