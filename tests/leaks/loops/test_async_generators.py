from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from tests.leaks.examples import LineOf, Test, listed_in, nothing, on_both_loops

LEAKY: list[Any] = []
CLEAN: list[Any] = []
KEPT: list[Any] = []
CLOSED: list[str] = []

leaks = listed_in(LEAKY)
clean = listed_in(CLEAN)


async def ticks(number: int = 5) -> AsyncGenerator[int, None]:
    try:
        for index in range(number):
            yield index
            await asyncio.sleep(0)
    finally:
        await asyncio.sleep(0)
        CLOSED.append("ticks")


async def every_second() -> AsyncIterator[int]:
    async for index in ticks():
        if index % 2 == 0:
            yield index


@contextlib.asynccontextmanager
async def connection() -> AsyncGenerator[str, None]:
    yield "connection"


async def forever() -> None:
    await asyncio.sleep(3600)


@leaks
async def kept() -> None:
    generator = ticks()
    KEPT.append(generator)
    await anext(generator)  # LEAK


@leaks
async def kept_in_a_cycle() -> None:
    class Box: ...

    box: Any = Box()
    box.me = box
    box.generator = ticks()
    await anext(box.generator)  # LEAK


@leaks
async def kept_in_a_cycle_over_a_collection() -> None:
    await kept_in_a_box()
    gc.collect()


async def kept_in_a_box() -> None:
    class Box: ...

    box: Any = Box()
    box.me = box
    box.generator = ticks()
    await anext(box.generator)  # LEAK


@leaks
async def left_by_break() -> None:
    async for _ in ticks():  # LEAK
        break


@leaks
async def left_by_return() -> int:
    async for index in ticks():  # LEAK
        with contextlib.suppress(ValueError):
            try:
                return index
            finally:
                await asyncio.sleep(0)
    return -1


@leaks
async def dropped() -> None:
    generator = ticks()
    await anext(generator)  # LEAK
    del generator
    await asyncio.sleep(0)


@leaks
async def dropped_as_a_temporary() -> None:
    await anext(ticks())  # LEAK


@leaks
async def dropped_in_a_task() -> None:
    async def job() -> None:
        async for _ in ticks():  # LEAK
            break

    await asyncio.create_task(job())


@leaks
async def dropped_at_the_end_of_a_failed_test() -> None:
    generator = ticks()
    await anext(generator)  # LEAK
    with contextlib.suppress(ValueError):
        raise ValueError


@leaks
async def left_with_the_generator_that_iterates_it() -> None:
    async for _ in every_second():  # LEAK
        break


@leaks
async def kept_with_the_generator_that_iterates_it() -> None:
    generator = every_second()
    KEPT.append(generator)
    await anext(generator)  # LEAK


@leaks
async def left_by_the_generator_that_iterates_it() -> None:
    async def first() -> AsyncIterator[int]:
        async for index in ticks():  # LEAK
            yield index
            break

    assert [index async for index in first()] == [0]


@leaks
async def context_never_left() -> None:
    manager = connection()
    KEPT.append(manager)
    await manager.__aenter__()  # LEAK


@leaks
async def context_dropped() -> None:
    await connection().__aenter__()  # LEAK


@leaks
async def stack_never_closed() -> None:
    stack = contextlib.AsyncExitStack()
    KEPT.append(stack)
    await stack.enter_async_context(connection())  # LEAK


@leaks
async def left_in_a_helper_thread() -> None:
    async def job() -> None:
        async for _ in ticks():  # LEAK
            break

    await asyncio.to_thread(asyncio.run, job())


@clean
async def exhausted() -> None:
    assert [index async for index in ticks(3)] == [0, 1, 2]


@clean
async def exhausted_through_another() -> None:
    assert [index async for index in every_second()] == [0, 2, 4]


@clean
async def closed() -> None:
    generator = ticks()
    await anext(generator)
    await generator.aclose()


@clean
async def closed_by_aclosing() -> None:
    async with contextlib.aclosing(ticks()) as generator:
        async for _ in generator:
            break


@clean
async def closed_with_the_generator_that_iterates_it() -> None:
    generator: Any = every_second()
    await anext(generator)
    await generator.aclose()


@clean
async def closed_by_the_loop() -> None:
    generator = ticks()
    KEPT.append(generator)
    await anext(generator)
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    loop._asyncgens_shutdown_called = False  # type: ignore[attr-defined]  # the loop is used on


@clean
async def never_begun() -> None:
    KEPT.append(ticks())


@clean
async def ended_by_an_exception_in_the_loop() -> None:
    with contextlib.suppress(ValueError):
        async for _ in ticks():
            raise ValueError


@clean
async def ended_by_an_exception_of_its_own() -> None:
    async def fails() -> AsyncIterator[int]:
        yield 1
        raise ValueError

    with contextlib.suppress(ValueError):
        async for _ in fails():
            pass


@clean
async def ended_with_a_cancelled_task() -> None:
    async def consume() -> None:
        async for _ in ticks():
            await forever()

    task = asyncio.create_task(consume())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@clean
async def cancelled_within() -> None:
    async def stuck() -> AsyncIterator[int]:
        yield 1
        await forever()

    async def consume() -> None:
        async for _ in stuck():
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(0)
    task.cancel()


@clean
async def context_left() -> None:
    async with connection():
        pass
    with contextlib.suppress(ValueError):
        async with connection():
            raise ValueError
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(connection())


@clean
async def closed_by_a_run_in_a_helper_thread() -> None:
    async def job() -> None:
        generator = ticks()
        KEPT.append(generator)
        await anext(generator)

    await asyncio.to_thread(asyncio.run, job())


@on_both_loops
@pytest.mark.parametrize("test", LEAKY)
def test_a_leak_is_reported_once(bench: Any, test: Test, line_of: LineOf) -> None:
    KEPT.clear()
    (finding,) = bench.run_test(test)
    assert finding.rule == "UNO202"
    assert finding.subject == f"async generator {finding.target}() was left suspended"
    here = kept_in_a_box if test is kept_in_a_cycle_over_a_collection else test
    assert finding.created[0].line == line_of(here, "# LEAK")
    KEPT.clear()
    gc.collect()
    assert bench.run_test(nothing) == []
    assert bench.unhandled == []


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    KEPT.clear()
    assert bench.run_test(test) == []
    KEPT.clear()
    assert bench.unhandled == []


def test_the_innermost_frame_is_the_user_s(bench: Any, line_of: LineOf) -> None:
    (finding,) = bench.run_test(left_with_the_generator_that_iterates_it)
    assert finding.target == "every_second"
    (finding,) = bench.run_test(left_by_the_generator_that_iterates_it)
    assert finding.target == "ticks"
    functions = [frame.function.rpartition(".")[2] for frame in finding.created]
    assert (functions[0], functions[-1]) == ("first", "left_by_the_generator_that_iterates_it")
