"""Connections to servers outside of the loop: from the request to the reply the clock stands still."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol

import pytest

from pytest_uno.clock.budgets import Budgets
from tests.clock.outside_server import connection_to, plain_server, real_server
from tests.clock.running import run_virtual
from tests.clock.tickers import PATIENT, at_once, running_clock, ticking

PIECES = 5
PIECE = b"0123456789"
REPLY = PIECES * PIECE

IMPATIENT = Budgets(patience=0.05, quiet=0.01, max_jumps=50_000)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()


async def echo_after_a_while(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        await asyncio.sleep(0.02)
        writer.write(line)


async def answer_in_pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readline():
        for _ in range(PIECES):
            await asyncio.sleep(0.02)
            writer.write(PIECE)


async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


# ------------------------------------------------------------------ three kinds of clients


class Client(Protocol):
    async def ask(self, size: int) -> bytes: ...


class StreamsClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, size: int) -> bytes:
        self._writer.write(b"question\n")
        return await self._reader.readexactly(size)

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, address: tuple[str, int]) -> AsyncGenerator[StreamsClient, None]:
        async with connection_to(address) as streams:
            yield cls(*streams)


class FutureClient(asyncio.Protocol):
    """As drivers do it: each question makes a future, which the last piece of the answer finishes."""

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self._received = b""
        self._begin(0)

    def _begin(self, size: int) -> None:
        self._size = size
        self._complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) >= self._size:
            self._end()

    def _end(self) -> None:
        if not self._complete.done():
            self._complete.set_result(None)

    async def ask(self, size: int) -> bytes:
        self._received = b""
        self._begin(size)
        self._transport.write(b"question\n")
        await self._wait()
        return self._received

    async def _wait(self) -> None:
        await self._complete

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, address: tuple[str, int]) -> AsyncGenerator[FutureClient, None]:
        transport, protocol = await asyncio.get_running_loop().create_connection(cls, *address)
        try:
            yield protocol
        finally:
            transport.close()


class EventClient(FutureClient):
    """As anyio does it: asyncio's own Event tells that there is something."""

    def _begin(self, size: int) -> None:
        self._size = size
        self._is_complete = asyncio.Event()

    def _end(self) -> None:
        self._is_complete.set()

    async def _wait(self) -> None:
        await self._is_complete.wait()


Connect = Callable[[tuple[str, int]], contextlib.AbstractAsyncContextManager[Client]]
each_client = pytest.mark.parametrize(
    "connect", [StreamsClient.connected, FutureClient.connected, EventClient.connected]
)


@each_client
def test_a_reply_in_pieces(connect: Connect) -> None:
    async def main() -> None:
        async with connect(address) as client, ticking() as ticks:
            for _ in range(2):
                assert await at_once(client.ask(len(REPLY))) == REPLY
            assert ticks == []

    with real_server(answer_in_pieces) as address:
        # The pieces come in 20 ms; what an Event waits for is only known by the pause since the last piece.
        run_virtual(main, budgets=Budgets(patience=30.0, quiet=10.0))


@each_client
def test_round_trips_have_no_spurious_time_outs(connect: Connect) -> None:
    async def main() -> None:
        async with connect(address) as client, ticking() as ticks:
            for _ in range(100):
                assert await at_once(client.ask(9)) == b"question\n"
                await asyncio.sleep(0.003)
            assert len(ticks) == 30

    with real_server(echo) as address:
        run_virtual(main, budgets=PATIENT)


@each_client
def test_replies_slower_than_the_virtual_time_limit(connect: Connect) -> None:
    async def main() -> None:
        async with connect(address) as client, ticking() as ticks:
            for _ in range(5):
                assert await at_once(client.ask(9), within=0.001) == b"question\n"
            assert ticks == []

    with real_server(echo_after_a_while) as address:
        run_virtual(main, budgets=PATIENT)


@each_client
def test_a_hung_server_still_times_out(connect: Connect) -> None:
    async def main() -> float:
        async with connect(address) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.ask(1)
            return asyncio.get_running_loop().time()

    with real_server(be_silent) as address:
        ended, clock = run_virtual(main, budgets=IMPATIENT)
    assert ended == 0.1
    assert clock.held >= IMPATIENT.patience


@each_client
def test_a_request_and_a_sleep_again_and_again_stays_cheap(connect: Connect) -> None:
    async def main() -> None:
        async with connect(address) as client:
            for _ in range(60):
                assert await client.ask(9) == b"question\n"
                await asyncio.sleep(60)

    budgets = Budgets(patience=30.0, quiet=0.2)
    with real_server(echo) as address:
        _, clock = run_virtual(main, budgets=budgets)
    assert clock.time() == 3600
    assert clock.held < 60 * budgets.quiet / 4  # it is not the pause that costs, but the replies


def test_a_plain_server_in_a_thread() -> None:
    def serve(connection: socket.socket) -> None:
        while data := connection.recv(1000):
            time.sleep(0.02)
            connection.sendall(data)

    async def main() -> None:
        async with connection_to(address) as (reader, writer), ticking() as ticks:
            for _ in range(5):
                writer.write(b"line\n")
                assert await at_once(reader.readline()) == b"line\n"
            assert ticks == []

    with plain_server(serve) as address:
        run_virtual(main, budgets=PATIENT)


def test_a_plain_server_in_a_thread_of_the_test() -> None:
    """The thread starts after the loop, so that it could work for it."""

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(1000):
            time.sleep(0.02)
            connection.sendall(data)

    async def main() -> None:
        with plain_server(serve) as address:
            async with connection_to(address) as (reader, writer), ticking() as ticks:
                for _ in range(5):
                    writer.write(b"line\n")
                    assert await at_once(reader.readline()) == b"line\n"
                assert ticks == []

    run_virtual(main, budgets=PATIENT)


# ------------------------------------------------------------------ subscriptions


async def publish_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(b"subscribed\n")
    await reader.readline()
    writer.write(b"published\n")
    await asyncio.sleep(0.05)
    writer.write(b"something\n")
    await reader.read()


def test_an_idle_subscription_holds_for_a_moment_only() -> None:
    async def main() -> None:
        async with connection_to(address) as (reader, writer):
            writer.write(b"subscribe\n")
            await reader.readline()
            listening = asyncio.create_task(reader.readline())
            before = running_clock().jumps
            for _ in range(100):
                await asyncio.sleep(1)
            assert running_clock().jumps == before + 100
            assert not listening.done()
            listening.cancel()

    budgets = Budgets(patience=30.0, quiet=0.05)
    with real_server(publish_once) as address:
        _, clock = run_virtual(main, budgets=budgets)
    assert clock.time() == 100
    assert clock.held < 100 * budgets.quiet / 4  # once, not for each sleep


def test_a_message_to_a_subscriber_that_the_test_waits_for() -> None:
    async def main() -> None:
        async with connection_to(address) as (reader, writer), connection_to(address):
            writer.write(b"subscribe\n")
            assert await reader.readline() == b"subscribed\n"
            messages: asyncio.Queue[bytes] = asyncio.Queue()

            async def listen() -> None:
                while line := await reader.readline():
                    messages.put_nowait(line)

            listening = asyncio.create_task(listen())
            await asyncio.sleep(60)
            writer.write(b"publish\n")
            async with ticking() as ticks:
                assert await at_once(messages.get()) == b"published\n"
                assert await at_once(messages.get()) == b"something\n"
                assert ticks == []
            listening.cancel()

    with real_server(publish_once) as address:
        run_virtual(main, budgets=PATIENT)


def test_an_idle_connection_does_not_hold_while_the_test_waits_for_something_else() -> None:
    async def main() -> None:
        happens = asyncio.Event()
        async with connection_to(address) as (reader, writer):
            writer.write(b"hello\n")
            await reader.readline()
            asyncio.get_running_loop().call_later(3600, happens.set)
            await happens.wait()

    with real_server(echo) as address:
        _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 3600
    assert clock.held < PATIENT.patience


def test_a_connection_that_is_refused() -> None:
    async def main() -> None:
        async with ticking() as ticks:
            with pytest.raises(ConnectionRefusedError):
                await at_once(asyncio.open_connection(*address))
            assert ticks == []

    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    run_virtual(main, budgets=PATIENT)


def test_a_client_in_a_thread_of_a_server_on_the_virtual_loop() -> None:
    async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            line = await reader.readline()
            await asyncio.sleep(0.1)
            writer.write(line)

    def ask(address: tuple[str, int]) -> bytes:
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(b"line\n")
            return connection.recv(100)

    async def main() -> bytes:
        async with await asyncio.start_server(answer_late, "127.0.0.1", 0) as server:
            return await asyncio.to_thread(ask, server.sockets[0].getsockname())

    # Nothing tells that the call in the executor waits for this very loop: it holds the clock, then lets it flow.
    reply, clock = run_virtual(main, budgets=IMPATIENT)
    assert reply == b"line\n"
    assert 0.1 <= clock.time() < 60


def test_a_connection_that_is_lost_before_the_clock_looks_holds_nothing() -> None:
    def take(connection: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            while connection.recv(1000):
                pass

    async def main() -> None:
        _, writer = await asyncio.open_connection(*address)
        before = running_clock().held_by.get("reply from outside", 0.0)
        writer.write(b"no reply is waited for\n")
        writer.transport.abort()
        await asyncio.sleep(3600)
        assert running_clock().held_by.get("reply from outside", 0.0) == before

    with plain_server(take) as address:
        run_virtual(main, budgets=PATIENT)
