"""Who holds what a task waits for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from pytest_uno.clock import holders
from pytest_uno.clock.holders import entered_contexts, reachable
from tests.clock.started_tasks import NOBODY, forever, node, picture, started, take, turn, waits


@contextlib.asynccontextmanager
async def locked(lock: asyncio.Lock) -> AsyncIterator[None]:
    async with lock:
        yield


async def hold_directly(lock: asyncio.Lock) -> None:
    async with lock:
        await forever()


async def hold_in_a_context_manager(lock: asyncio.Lock) -> None:
    async with locked(lock):
        await forever()


async def hold_on_a_stack(lock: asyncio.Lock) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(locked(lock))
        await forever()


async def hold_in_a_generator(lock: asyncio.Lock) -> None:
    async def items() -> AsyncIterator[int]:
        async with lock:
            yield 1

    async with contextlib.aclosing(items()) as iterator:  # type: ignore[type-var]
        async for _ in iterator:
            await forever()


async def hold_by_a_condition(lock: asyncio.Lock) -> None:
    async with asyncio.Condition(lock):
        await forever()


@pytest.mark.parametrize(
    "hold",
    [hold_directly, hold_in_a_context_manager, hold_on_a_stack, hold_in_a_generator, hold_by_a_condition],
)
def test_the_holder_of_a_lock(hold: Callable[[asyncio.Lock], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        lock = asyncio.Lock()
        async with started(holder=hold(lock), first=take(lock), second=take(lock)) as tasks:
            graph = picture(tasks)
        assert node(graph, "first").waits_for == "lock held by task 'holder'"
        assert node(graph, "second").waits_for_tasks == ("holder",)
        assert graph.cycles == ()

    asyncio.run(main())


def test_a_lock_taken_without_async_with() -> None:
    async def main() -> None:
        lock = asyncio.Lock()

        async def hold() -> None:
            await lock.acquire()
            await forever()

        async def forget() -> None:
            await lock.acquire()

        async with started(holder=hold(), it=take(lock)) as tasks:
            graph = picture(tasks)
        lock = asyncio.Lock()
        async with started(forgetful=forget(), it=take(lock)) as tasks:
            forgotten = picture(tasks)
        assert node(graph, "it").waits_for == "lock, holder unknown (task 'holder' refers to it)"
        assert node(forgotten, "it").waits_for == f"lock, holder unknown {NOBODY}"

    asyncio.run(main())


def test_the_lock_of_a_condition() -> None:
    async def main() -> None:
        condition = asyncio.Condition()

        async def wait() -> None:
            async with condition:
                await condition.wait()

        async def notify() -> None:
            async with condition:
                condition.notify()
                await forever()

        async with started(waiting=wait()) as waiting:
            assert entered_contexts(waiting["waiting"]) == []
            async with started(holder=notify()) as holder:
                graph = picture(waiting | holder)
                assert node(graph, "waiting").waits_for == "lock held by task 'holder'"

    asyncio.run(main())


def test_a_semaphore_with_several_holders_is_no_cycle() -> None:
    async def main() -> None:
        semaphore = asyncio.Semaphore(2)
        everyone_waits = asyncio.Event()
        third: list[asyncio.Task[Any]] = []

        async def hold() -> None:
            async with semaphore:
                await forever()

        async def hold_and_wait() -> None:
            async with semaphore:
                await everyone_waits.wait()
                await third[0]

        async def wait() -> None:
            async with semaphore:
                raise AssertionError("no place is free")

        async with started(a=hold(), b=hold_and_wait(), c=wait()) as tasks:
            third.append(tasks["c"])
            everyone_waits.set()
            await turn()
            graph = picture(tasks)
        assert waits(graph) == {
            "a": f"event that is not set {NOBODY}",
            "b": "task 'c'",
            "c": "semaphore held by tasks 'a', 'b'",
        }
        assert graph.cycles == ()

    asyncio.run(main())


def test_those_who_could_act_are_named() -> None:
    class Service:
        def __init__(self) -> None:
            self.queues = [asyncio.Queue[int]()]

        async def consume(self) -> None:
            await self.queues[0].get()

        async def produce(self) -> None:
            await forever()

    async def main() -> None:
        service = Service()
        async with started(
            consumer=service.consume(), rival=service.consume(), p=service.produce(), q=service.produce()
        ) as tasks:
            graph = picture(tasks)
        assert node(graph, "consumer").waits_for == (
            "queue.get() of an empty queue (tasks 'p', 'q' refer to it)"
        )

    asyncio.run(main())


def test_the_search_is_bounded() -> None:
    async def hoard(lock: asyncio.Lock) -> None:
        much = [[number] for number in range(5000)]
        await forever()
        much.append([id(lock)])

    async def main() -> None:
        lock, far = asyncio.Lock(), [[[[[[[asyncio.Lock()]]]]]]]

        async def keep_far() -> None:
            await forever()
            far.clear()

        async with started(hoard=hoard(lock), far=keep_far()) as tasks:
            assert reachable(tasks["hoard"], {id(lock)}) == {id(lock)}
            assert reachable(tasks["far"], {id(far[0][0][0][0][0][0][0])}) == set()

    asyncio.run(main())


class Condition:
    """A condition of another library, which has the names of asyncio's."""

    async def wait(self) -> None:
        await forever()


def test_a_condition_of_another_library_releases_nothing() -> None:
    async def main() -> None:
        lock = asyncio.Lock()

        async def wait() -> None:
            async with lock:
                await Condition().wait()

        async with started(it=wait()) as tasks:
            assert entered_contexts(tasks["it"]) == [lock]

    asyncio.run(main())


def test_both_shapes_of_an_exit_on_the_stack() -> None:
    lock = asyncio.Lock()
    until_3_13: list[object] = [lock, lock.__aexit__, None]
    from_3_14: list[object] = [lock, asyncio.Lock.__aexit__, lock, None]
    assert holders._exits(until_3_13, set()) == [lock]
    assert holders._exits(from_3_14, set()) == [lock]
    assert holders._exits([asyncio.Lock.__aexit__], set()) == []
