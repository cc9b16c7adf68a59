from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pytest_uno import AsyncManager, TaskGroup, timeout
from pytest_uno.clock import VirtualEventLoop

Test = Callable[[], Coroutine[Any, Any, object]]
LineOf = Callable[[Callable[..., object], str], int]

LEAKY: list[Any] = []
CLEAN: list[Any] = []
KEPT: list[Any] = []

on_both_loops = pytest.mark.parametrize("bench", [asyncio.new_event_loop, VirtualEventLoop], indirect=True)


def leaks(target: str) -> Callable[[Test], Test]:
    def register(test: Test) -> Test:
        LEAKY.append(pytest.param(test, target, id=test.__name__))
        return test

    return register


def clean(test: Test) -> Test:
    CLEAN.append(pytest.param(test, id=test.__name__))
    return test


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
