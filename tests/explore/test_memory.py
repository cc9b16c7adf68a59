"""What a loop leaves to the garbage collector: streams of asyncio refer to each other, and to their loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest

from pytest_uno.explore.run import run_schedule
from pytest_uno.explore.settings import Settings
from pytest_uno.explore.strategies.pos import PartialOrderSampling
from tests.clock.running import run_virtual

Program = Callable[[], Coroutine[Any, Any, None]]


def explore_once(program: Program) -> None:
    assert run_schedule(program, PartialOrderSampling(0, 0), Settings()).error is None


@contextlib.asynccontextmanager
async def connected() -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """Connect to a server whose callback keeps its writers, and they their callback: only the collector frees them."""
    writers: list[asyncio.StreamWriter] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.closing(writer):
            while line := await reader.readline():
                writer.write(line)

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield reader, writer
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(
            1
        )  # the server ends by itself: on 3.11 the traceback of a cancellation keeps all its callers


def count_sockets_left(run: Callable[[Program], object]) -> int:
    """Run a program with connections of its own, and count the sockets that are not freed with it."""
    sockets: list[weakref.ref[socket.socket]] = []

    async def program() -> None:
        async with connected() as (reader, writer):
            for _ in range(3):
                writer.write(b"hello\n")
                await reader.readline()
            sockets.extend(weakref.ref(one) for one in gc.get_objects() if type(one) is socket.socket)

    gc.collect()
    gc.disable()
    try:
        run(program)
        return sum(ref() is not None for ref in sockets)
    finally:
        gc.enable()


@pytest.mark.parametrize("run", [run_virtual, explore_once])
def test_a_closed_loop_leaves_no_more_than_asyncio_does(run: Callable[[Program], object]) -> None:
    left = count_sockets_left(lambda program: asyncio.run(program()))
    assert left > 0
    assert count_sockets_left(run) == left


def test_a_schedule_s_record_is_freed_although_its_loop_is_not() -> None:
    class Marked(list[tuple[int, int]]):
        """Takes a weak reference."""

    async def program() -> None:
        async with connected():
            loop: Any = asyncio.get_running_loop()
            loops.append(weakref.ref(loop))
            loop.decisions = Marked(loop.decisions)
            records.append(weakref.ref(loop.decisions))
            await asyncio.gather(asyncio.sleep(1), asyncio.sleep(1))

    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []
    records: list[weakref.ref[Marked]] = []
    gc.collect()
    gc.disable()
    try:
        explore_once(program)
        assert [loop() is None for loop in loops] == [False]
        assert [record() for record in records] == [None]
    finally:
        gc.enable()
