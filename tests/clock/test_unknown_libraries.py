"""Libraries that the clock knows nothing of, and what can be told to it; unusual ways to run tasks."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import types
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from pytest_uno.clock import register_external_package
from pytest_uno.clock.budgets import Budgets
from tests.clock.outside_server import connection_to, real_server
from tests.clock.running import run_virtual
from tests.clock.tickers import PATIENT, at_once, running_clock, ticking

DRIVER = """
import _thread, asyncio, contextlib, time

async def query(seconds):
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    def finish():
        if not answer.done():
            answer.set_result("answer")
    def work():
        time.sleep(seconds)
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(finish)
    _thread.start_new_thread(work, ())  # as a C library does it: threading does not know this thread
    return await answer
"""


def import_driver(name: str, file: str | None = None) -> Callable[[float], Awaitable[str]]:
    """Make a driver whose threads are invisible, as a module of a package."""
    module = types.ModuleType(f"{name}.connection")
    exec(compile(DRIVER, file or f"<{name}>", "exec"), vars(module))
    query: Callable[[float], Awaitable[str]] = module.query
    return query


def test_a_registered_package_holds_the_clock() -> None:
    query = import_driver("registereddriver")
    register_external_package("registereddriver")

    async def main() -> str:
        async with ticking() as ticks:
            answer = await at_once(query(0.05))
            assert ticks == []
        return answer

    assert run_virtual(main, budgets=PATIENT)[0] == "answer"


def test_a_package_can_be_registered_after_it_was_used() -> None:
    query = import_driver("latedriver")

    async def main() -> str:
        with pytest.raises(TimeoutError):  # nothing tells that anything is at work
            await at_once(query(0.1))
        register_external_package("latedriver")
        async with ticking():
            return await at_once(query(0.05))

    assert run_virtual(main, budgets=PATIENT)[0] == "answer"


def test_a_query_of_a_registered_package_that_takes_longer_than_the_patience() -> None:
    query = import_driver("slowdriver")
    register_external_package("slowdriver")

    async def main() -> str:
        async with ticking(), asyncio.timeout(5):
            return await query(0.1)

    answer, clock = run_virtual(main, budgets=Budgets(patience=0.05))
    assert answer == "answer"
    assert clock.time() < 5
    assert clock.held > clock.budgets.patience


@pytest.mark.parametrize("name", ["some.module", "", "not-a-name"])
def test_what_is_not_a_package_cannot_be_registered(name: str) -> None:
    with pytest.raises(ValueError, match="external-package"):
        register_external_package(name)


def test_a_hold_covers_what_cannot_be_known() -> None:
    query = import_driver("helddriver")

    async def main() -> str:
        async with ticking() as ticks:
            with running_clock().hold("query of helddriver"):
                answer = await at_once(query(0.05))
            assert ticks == []
        return answer

    answer, clock = run_virtual(main, budgets=PATIENT)
    assert answer == "answer"
    assert clock.held_by.keys() == {"query of helddriver"}


# ------------------------------------------------------------------ answers that come in later pieces


class Library(asyncio.Protocol):
    """Asks over its own transport; the answer is complete when all pieces are there."""

    def __init__(self) -> None:
        self.received = b""
        self.complete: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.Transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.complete is not None and self.received.endswith(b"."):
            self.complete.set_result(self.received)

    async def ask(self) -> bytes:
        self.complete = asyncio.get_running_loop().create_future()
        self.transport.write(b"question\n")
        return await self.complete


def test_a_bare_future_is_waited_for_after_traffic_from_outside() -> None:
    """The pauses between the pieces are longer than any quiet moment."""

    async def answer_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        for piece in (b"one ", b"two ", b"three."):
            writer.write(piece)
            await asyncio.sleep(0.05)
        await reader.read()

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        transport, library = await loop.create_connection(Library, *address)
        async with ticking() as ticks:
            answer = await at_once(library.ask())
            assert ticks == []
        transport.close()
        return answer

    with real_server(answer_slowly) as address:
        assert run_virtual(main, budgets=Budgets(patience=30.0, quiet=0.001))[0] == b"one two three."


@pytest.mark.parametrize("requests", [1, 3])
def test_a_bare_future_of_the_loops_own_is_not_taken_for_a_request(requests: int) -> None:
    """Traffic with the outside, and long after it something else that only time brings."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        latch: asyncio.Future[None] = loop.create_future()
        waiting = asyncio.create_task(asyncio.wait_for(latch, None))
        happens = asyncio.Event()
        async with connection_to(address) as (reader, writer):
            for _ in range(requests):
                writer.write(b"question\n")
                await reader.readline()
                await asyncio.sleep(60)
            loop.call_later(3600, happens.set)
            await happens.wait()
            latch.set_result(None)
            await waiting

    budgets = Budgets(patience=0.1, stall=10.0)
    with real_server(echo) as address:
        _, clock = run_virtual(main, budgets=budgets)
    assert clock.time() == 3600 + requests * 60
    assert clock.held < budgets.stall


def test_a_bare_future_within_the_loop_holds_nothing() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        loop.call_later(3600, future.set_result, None)
        await future

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 3600
    assert clock.held == 0


def test_futures_that_the_last_reply_has_nothing_to_do_with_do_not_hold_a_sleeper() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)

    module = types.ModuleType("nats.subscription")
    source = "async def receive(loop):\n    await loop.create_future()\n"
    exec(compile(source, "<nats.subscription>", "exec"), vars(module))

    async def wait_for(future: asyncio.Future[None]) -> None:
        await future

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connection_to(address) as (reader, writer):
            unawaited: asyncio.Future[None] = loop.create_future()
            subscription = asyncio.create_task(module.receive(loop))
            await asyncio.sleep(0)
            writer.write(b"question\n")
            await reader.readline()
            later = asyncio.create_task(wait_for(loop.create_future()))
            await asyncio.sleep(3600)
            unawaited.cancel()
            for task in (subscription, later):
                task.cancel()
            await asyncio.wait([subscription, later])

    with real_server(echo) as address:
        _, clock = run_virtual(main, budgets=Budgets(patience=30.0, quiet=0.01))
    assert clock.time() == 3600
    assert clock.held < clock.budgets.patience


# ------------------------------------------------------------------ unusual ways to run


async def rows() -> AsyncIterator[int]:
    """Iterate over something that blocks, in an executor."""
    for number in range(20):
        yield await asyncio.get_running_loop().run_in_executor(None, abs, number)


def test_an_async_generator_over_an_executor() -> None:
    async def main() -> list[int]:
        seen = []
        async with ticking() as ticks:
            iterator = rows()
            for _ in range(20):
                seen.append(await at_once(anext(iterator)))
                await asyncio.sleep(0.003)
            assert len(ticks) == 6
            with pytest.raises(StopAsyncIteration):
                await at_once(anext(iterator))
        return seen

    assert run_virtual(main, budgets=PATIENT)[0] == list(range(20))


def test_an_async_generator_that_sleeps() -> None:
    async def hours() -> AsyncIterator[float]:
        while True:
            await asyncio.sleep(3600)
            yield asyncio.get_running_loop().time()

    async def main() -> list[float]:
        seen: list[float] = []
        async for moment in hours():
            seen.append(moment)
            if len(seen) == 24:
                break
        return seen

    moments, clock = run_virtual(main, budgets=PATIENT)
    assert moments == [3600 * hour for hour in range(1, 25)]
    assert clock.held == 0


@pytest.mark.skipif(sys.version_info < (3, 12), reason="needs eager tasks")
def test_eager_tasks() -> None:
    query = import_driver("eagerdriver")
    register_external_package("eagerdriver")

    async def slept(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return asyncio.get_running_loop().time()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        factory: Any = asyncio.eager_task_factory  # type: ignore[attr-defined, unused-ignore]
        loop.set_task_factory(factory)
        async with ticking() as ticks:
            answers = await at_once(
                asyncio.gather(
                    *(query(0.02) for _ in range(3)), *(asyncio.to_thread(time.sleep, 0.02) for _ in range(3))
                )
            )
            assert answers == [*3 * ["answer"], *3 * [None]]
            assert ticks == []
        async with asyncio.TaskGroup() as group:
            sleeps = [group.create_task(slept(60 * minutes)) for minutes in (3, 1, 2)]
        assert [task.result() for task in sleeps] == [180, 60, 120]

    run_virtual(main, budgets=PATIENT)


# ------------------------------------------------------------------ debug mode


def test_debug_mode(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio reports callbacks that take long; virtual time that passes in one is no reason to."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        async with ticking(60):
            assert await at_once(asyncio.to_thread(abs, -1)) == 1
            await asyncio.sleep(3600)
            running_clock().leap(3600)
            await asyncio.sleep(3600)

    with caplog.at_level(logging.DEBUG, "asyncio"):
        _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 3 * 3600
    assert [record.message for record in caplog.records if "took" in record.message] == []
