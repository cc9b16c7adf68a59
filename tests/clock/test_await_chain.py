"""Where a task stands."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest

from pytest_uno.clock.await_chain import await_links, running_frames
from pytest_uno.clock.await_graph import awaiters, waiting_frames
from tests.clock.started_tasks import Waits, forever, started


def functions(task: asyncio.Task[Any]) -> list[str]:
    return [code.co_name for code, _ in waiting_frames(task)]


async def numbers() -> AsyncIterator[int]:
    yield 1
    await forever()


class Custom:
    """An awaitable whose iterator is a generator."""

    def __await__(self) -> Generator[Any, None, None]:
        yield from forever().__await__()


@types.coroutine
def by_generator() -> Generator[Any, None, None]:
    yield from forever().__await__()


async def iterate() -> None:
    async for _ in numbers():
        pass


async def step() -> None:
    iterator = numbers()
    await anext(iterator)
    await anext(iterator, None)


async def throw() -> None:
    async def absorb() -> AsyncIterator[int]:
        try:
            yield 1
        except KeyError:
            await forever()

    iterator = absorb()
    await anext(iterator)
    await iterator.athrow(KeyError())  # type: ignore[attr-defined]


async def await_custom() -> None:
    await Custom()


async def await_generator() -> None:
    await by_generator()


@pytest.mark.parametrize(
    ("waiting", "names"),
    [
        (forever, ["wait", "forever"]),
        (iterate, ["wait", "forever", "numbers", "iterate"]),
        (step, ["wait", "forever", "numbers", "step"]),
        (throw, ["wait", "forever", "absorb", "throw"]),
        (await_custom, ["wait", "forever", "__await__", "await_custom"]),
        (await_generator, ["wait", "forever", "by_generator", "await_generator"]),
    ],
)
def test_frames_from_the_innermost_await_outwards(waiting: Waits, names: list[str]) -> None:
    async def main() -> None:
        async with started(it=waiting()) as tasks:
            assert functions(tasks["it"]) == names

    asyncio.run(main())


def test_the_line_is_the_line_of_the_await() -> None:
    async def main() -> None:
        async with started(it=forever()) as tasks:
            code, line = waiting_frames(tasks["it"])[-1]
            assert (code, line) == (forever.__code__, forever.__code__.co_firstlineno + 1)

    asyncio.run(main())


def test_synchronous_frames_of_a_greenlet_stand_in_between() -> None:
    concurrency = pytest.importorskip("sqlalchemy.util")

    def synchronous() -> None:
        concurrency.await_only(forever())

    async def spawn() -> None:
        await concurrency.greenlet_spawn(synchronous)

    async def main() -> None:
        async with started(it=spawn()) as tasks:
            names = functions(tasks["it"])
            # Between the two lie SQLAlchemy's own frames, whose names are its business.
            assert [name for name in names if not name.startswith("await_")] == [
                "wait",
                "forever",
                "synchronous",
                "greenlet_spawn",
                "spawn",
            ]

    asyncio.run(main())


def test_a_task_that_looks_at_itself_sees_its_own_calls() -> None:
    def look() -> list[str]:
        task = asyncio.current_task()
        assert task is not None
        return functions(task)

    async def main() -> list[str]:
        return look()

    # `functions` and its comprehension belong to the look.
    assert [name for name in asyncio.run(main()) if name != "<listcomp>"] == ["functions", "look", "main"]


def test_finished_and_foreign_tasks_stand_nowhere() -> None:
    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(asyncio.sleep(0))
        await task
        return task

    foreign: Any = object()
    assert waiting_frames(asyncio.run(main())) == []
    assert waiting_frames(foreign) == []


def test_a_runaway_chain_ends() -> None:
    class Endless:
        cr_frame = None

        @property
        def cr_await(self) -> Endless:
            return self

    assert await_links(Endless()) == []


def test_a_wrapper_around_nothing_ends_the_chain() -> None:
    assert await_links(type("coroutine_wrapper", (), {})()) == []


def test_a_coroutine_that_just_stopped_running() -> None:
    coroutine = forever()
    assert running_frames(coroutine) == ([(forever.__code__, forever.__code__.co_firstlineno)], None)
    coroutine.close()
    assert running_frames(coroutine) == ([], None)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="asyncio.capture_call_graph is new in 3.14")
def test_agrees_with_the_call_graph_of_asyncio() -> None:
    async def inner() -> None:
        await forever()

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(inner(), name="child")

    async def main() -> None:
        async def gather() -> None:
            await asyncio.gather(single["single"])

        async with started(single=inner()) as single, started(gather=gather(), group=group()):
            everything = asyncio.all_tasks() - {asyncio.current_task()}
            assert len(everything) == 4
            for task in everything:
                graph = asyncio.capture_call_graph(task)  # type: ignore[attr-defined,unused-ignore]
                frames = [(entry.frame.f_code, entry.frame.f_lineno) for entry in graph.call_stack]
                assert waiting_frames(task) == frames
                by_asyncio = [one.future for one in graph.awaited_by]
                if task.get_name() == "single":  # asyncio has the future of the gather in between
                    by_asyncio = [by for by in by_asyncio if isinstance(by, asyncio.Task)]
                assert list(awaiters([task]).values()) == by_asyncio

    asyncio.run(main())
