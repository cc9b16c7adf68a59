"""Tests that leak: each must yield one finding of its rule, created at the marked line."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.leaks.examples import Test, listed_with

LEAKY: list[Any] = []
KEPT: list[object] = []

leaks = listed_with(LEAKY)


async def work(delay: float = 0) -> float:
    await asyncio.sleep(delay)
    return delay


async def forever() -> None:
    await asyncio.Event().wait()


async def boom() -> None:
    raise RuntimeError("boom")


def spawn(coro: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
    return asyncio.get_running_loop().create_task(coro)


@leaks("UNO201", "work")
async def coroutine_dropped() -> None:
    work()  # type: ignore[unused-coroutine]  # LEAK


@leaks("UNO201", "work")
async def coroutine_kept() -> None:
    KEPT.append(work())  # LEAK


@leaks("UNO201", "work")
async def coroutine_kept_over_a_collection() -> None:
    KEPT.append(work())  # LEAK
    gc.collect()


@leaks("UNO201", "work")
async def coroutine_in_a_cycle() -> None:
    class Box: ...

    box: Any = Box()
    box.me = box
    box.coro = work()  # LEAK


@leaks("UNO201", "work")
async def coroutine_dropped_later() -> None:
    coro = work()  # LEAK
    await asyncio.sleep(0)
    del coro


@leaks("UNO201", "work")
async def coroutine_dropped_in_a_task() -> None:
    async def job() -> None:
        work()  # type: ignore[unused-coroutine]  # LEAK

    await asyncio.create_task(job())


@leaks("UNO101", "forever")
async def task_forgotten() -> None:
    asyncio.create_task(forever())  # LEAK
    await asyncio.sleep(0)


@leaks("UNO101", "work")
async def task_never_started() -> None:
    KEPT.append(asyncio.create_task(work(5)))  # LEAK


@leaks("UNO101", "forever")
async def task_of_a_task() -> None:
    async def parent() -> None:
        asyncio.create_task(forever())  # LEAK

    await asyncio.create_task(parent())


@leaks("UNO101", "forever")
async def task_by_ensure_future() -> None:
    asyncio.ensure_future(forever())  # LEAK
    await asyncio.sleep(0)


@leaks("UNO101", "forever")
async def task_left_by_gather() -> None:
    with pytest.raises(RuntimeError):
        await asyncio.gather(boom(), forever())  # LEAK


@leaks("UNO101", "forever")
async def task_left_by_wait() -> None:
    task = asyncio.create_task(forever())  # LEAK
    await asyncio.wait({task}, timeout=0)


@leaks("UNO101", "forever")
async def task_shielded() -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(forever()), 0.001)  # LEAK


@leaks("UNO101", "forever")
async def task_left_by_as_completed() -> None:
    for future in asyncio.as_completed([work(), forever()]):  # LEAK
        await future
        break


@leaks("UNO101", "task_stuck_in_cleanup.<locals>.slow")
async def task_stuck_in_cleanup() -> None:
    async def slow() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(30)

    task = asyncio.create_task(slow())  # LEAK
    await asyncio.sleep(0)
    task.cancel()


@leaks("UNO101", "task_that_holds_a_coroutine.<locals>.waits")
async def task_that_holds_a_coroutine() -> None:
    async def waits(coro: Coroutine[Any, Any, object]) -> None:
        await forever()
        await coro

    asyncio.create_task(waits(work()))  # LEAK
    await asyncio.sleep(0)


@leaks("UNO101", "task_that_makes_a_coroutine.<locals>.waits")
async def task_that_makes_a_coroutine() -> None:
    async def waits() -> None:
        coro = work()
        await asyncio.sleep(100)
        await coro

    asyncio.create_task(waits())  # LEAK
    await asyncio.sleep(0)


@leaks("UNO101", "forever")
async def task_of_an_empty_context() -> None:
    asyncio.create_task(forever(), context=contextvars.Context())  # LEAK
    await asyncio.sleep(0)


@leaks("UNO102", "boom")
async def exception_dropped() -> None:
    asyncio.create_task(boom())  # LEAK
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@leaks("UNO102", "boom")
async def exception_kept() -> None:
    KEPT.append(asyncio.create_task(boom()))  # LEAK
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@leaks("UNO102", "exception_in_a_cycle.<locals>.cyclic")
async def exception_in_a_cycle() -> None:
    async def cyclic() -> None:
        me = asyncio.current_task()
        assert me
        raise RuntimeError("cyclic")

    asyncio.create_task(cyclic())  # LEAK
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@leaks("UNO102", "RuntimeError")
async def exception_of_a_future_dropped() -> None:
    future = asyncio.get_running_loop().create_future()
    try:
        raise RuntimeError("lost")  # LEAK
    except RuntimeError as exc:
        future.set_exception(exc)


@leaks("UNO102", "RuntimeError")
async def exception_of_a_future_kept() -> None:
    future = asyncio.get_running_loop().create_future()
    KEPT.append(future)
    try:
        raise RuntimeError("lost")  # LEAK
    except RuntimeError as exc:
        future.set_exception(exc)


@leaks("UNO104", "callback_fails.<locals>.callback")
async def callback_fails() -> None:
    def callback() -> None:
        raise RuntimeError("in callback")  # LEAK

    asyncio.get_running_loop().call_soon(callback)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _forget_kept() -> Any:
    yield
    KEPT.clear()


@pytest.mark.parametrize(("test", "rule", "target"), LEAKY)
def test_one_finding_at_the_marked_line(
    bench: Any, line_of: Callable[[Test, str], int], test: Test, rule: str, target: str
) -> None:
    findings = bench.run_test(test)
    assert [(finding.rule, finding.target) for finding in findings] == [(rule, target)]
    frame = findings[0].created[0]
    assert (frame.file, frame.line) == ("tests/leaks/test_leaky_tests.py", line_of(test, "# LEAK"))
    assert frame.in_app
    assert "LEAK" in frame.code
    assert findings[0].owner.name == test.__name__
    assert bench.unhandled == []
    KEPT.clear()
    gc.collect()
    assert bench.detection.drain() == []


@pytest.mark.parametrize(("test", "rule", "target"), LEAKY)
def test_the_next_test_is_not_touched(bench: Any, test: Test, rule: str, target: str) -> None:
    bench.run_test(test, loop_ends=False)
    assert asyncio.all_tasks(bench.loop) == set()

    async def innocent() -> None:
        await work()

    assert bench.run_test(innocent) == []
    KEPT.clear()
    gc.collect()
    assert bench.run_test(innocent) == []


def test_a_helper_is_shown_with_its_caller(bench: Any) -> None:
    async def test() -> None:
        spawn(forever())
        await asyncio.sleep(0)

    (finding,) = bench.run_test(test)
    assert [frame.function.rpartition(".")[2] for frame in finding.created] == ["spawn", "test"]
    assert [frame.function for frame in finding.waiting_at] == ["forever"]
