"""Connections with both ends on the virtual loop: bytes under way hold the clock, idle connections do not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.clock.budgets import Budgets
from pytest_uno.clock.real_time import monotonic
from tests.clock.running import run_virtual
from tests.clock.tickers import PATIENT, at_once, running_clock, ticking

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

needs_unix_sockets = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs unix sockets")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()


@contextlib.asynccontextmanager
async def connected(
    handler: Handler = echo, connections: int = 1, tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None
) -> AsyncGenerator[list[Streams], None]:
    """Serve on the running loop, and connect."""
    server_side, client_side = tls or (None, None)
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=server_side)
    port = server.sockets[0].getsockname()[1]
    async with ticking():
        streams = [
            await at_once(
                asyncio.open_connection(
                    "127.0.0.1", port, ssl=client_side, server_hostname=tls and "localhost"
                )
            )
            for _ in range(connections)
        ]
    try:
        yield streams
    finally:
        for _, writer in streams:
            writer.close()
            await writer.wait_closed()
        server.close()
        await server.wait_closed()


async def ask(streams: Streams, line: bytes) -> bytes:
    reader, writer = streams
    writer.write(line)
    await writer.drain()
    return await reader.readline()


async def make_round_trips(streams: Streams, number: int) -> None:
    """Ask again and again, with short virtual pauses in between."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with ticking() as ticks:
        for trip in range(number):
            line = b"line %d\n" % trip
            assert await at_once(ask(streams, line)) == line
            await asyncio.sleep(0.003)
        assert loop.time() - began == pytest.approx(number * 0.003)
        assert len(ticks) == number * 3 // 10


def test_echoes_have_no_spurious_time_outs() -> None:
    async def main() -> None:
        async with connected() as (streams,):
            await make_round_trips(streams, 200)

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 0.6


def test_bytes_that_somebody_keeps_back_hold_nothing() -> None:
    """As the explorer does, which has them, and offers them when it likes."""

    async def main() -> None:
        async with connected() as ((reader, writer),):
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualEventLoop)
            outside, client = loop.outside, writer.transport
            assert outside.reasons(monotonic(), PATIENT) == []
            writer.write(b"line\n")
            (reason,) = outside.reasons(monotonic(), PATIENT)
            assert reason.label == "bytes in flight within the loop"
            outside.answered.add(client)
            assert outside.reasons(monotonic(), PATIENT) == []
            outside.answered.discard(client)
            assert await at_once(reader.readline()) == b"line\n"

    run_virtual(main, budgets=PATIENT)


def test_a_server_that_takes_its_virtual_time() -> None:
    async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while line := await reader.readline():
                await asyncio.sleep(60)
                writer.write(line)

    async def main() -> list[float]:
        moments = []
        async with connected(answer_late) as (streams,):
            for _ in range(3):
                await ask(streams, b"line\n")
                moments.append(asyncio.get_running_loop().time())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(59):
                    await ask(streams, b"line\n")
            moments.append(asyncio.get_running_loop().time())
        return moments

    moments, clock = run_virtual(main, budgets=PATIENT)
    assert moments == [60, 120, 180, 239]
    assert clock.held < PATIENT.patience


def test_bytes_in_flight_arrive_at_the_moment_they_were_sent() -> None:
    size = 4 * 1024 * 1024

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            writer.write(bytes(size))
            await writer.drain()

    async def main() -> int:
        async with ticking(), connected(send) as ((reader, _),):
            return len(await at_once(reader.read()))

    assert run_virtual(main, budgets=PATIENT)[0] == size


def test_a_slow_reader_stops_the_writer_and_holds_nothing() -> None:
    """Its transport is paused, so that bytes stay in flight for as long as the reader sleeps."""
    size = 16 * 1024 * 1024
    chunk = 1024 * 1024

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            for _ in range(size // chunk):
                writer.write(bytes(chunk))
                await writer.drain()

    async def main() -> list[float]:
        moments = []
        async with connected(send) as ((reader, _),):
            for _ in range(size // chunk):
                await at_once(reader.readexactly(chunk))
                moments.append(asyncio.get_running_loop().time())
                await asyncio.sleep(60)
        return moments

    moments, clock = run_virtual(main, budgets=PATIENT)
    assert moments == [60 * number for number in range(size // chunk)]
    assert clock.held < PATIENT.patience


def test_idle_connections_and_servers_hold_nothing() -> None:
    async def main() -> None:
        clock = running_clock()
        idle = await asyncio.start_server(echo, "127.0.0.1", 0)
        serving = asyncio.create_task(idle.serve_forever())
        async with connected(connections=20) as connections:
            for streams in connections:
                await at_once(ask(streams, b"hello\n"))
            before = clock.held, clock.jumps
            for _ in range(100):
                await asyncio.sleep(1)
            assert (clock.held, clock.jumps) == (before[0], before[1] + 100)
            for streams in connections:
                assert await at_once(ask(streams, b"again\n")) == b"again\n"
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 100


def test_an_idle_connection_does_not_hold_while_the_test_waits_for_something_else() -> None:
    async def main() -> None:
        happens = asyncio.Event()
        async with connected() as (streams,):
            await ask(streams, b"hello\n")
            before = running_clock().held
            asyncio.get_running_loop().call_later(3600, happens.set)
            await happens.wait()
            assert running_clock().held == before

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 3600


def test_a_read_that_times_out_on_a_silent_peer() -> None:
    async def main() -> float:
        async with connected() as ((reader, _),):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(60):
                    await reader.readline()
            return asyncio.get_running_loop().time()

    ended, clock = run_virtual(main, budgets=PATIENT)
    assert ended == 60
    assert clock.held < PATIENT.patience


# ------------------------------------------------------------------ other kinds of streams


@needs_unix_sockets
def test_unix_sockets(tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "socket")
        async with await asyncio.start_unix_server(echo, path):
            streams = await at_once(asyncio.open_unix_connection(path))
            await make_round_trips(streams, 50)
            before = running_clock().held
            for _ in range(100):
                await asyncio.sleep(1)
            assert running_clock().held == before
            streams[1].close()
            await streams[1].wait_closed()

    run_virtual(main, budgets=PATIENT)


def test_a_pair_of_sockets() -> None:
    async def main() -> None:
        ours, its = socket.socketpair()
        streams = await asyncio.open_connection(sock=ours)
        echoing = asyncio.create_task(echo(*await asyncio.open_connection(sock=its)))
        await make_round_trips(streams, 50)
        before = running_clock().held
        for _ in range(100):
            await asyncio.sleep(1)
        assert running_clock().held == before
        streams[1].close()
        await asyncio.gather(echoing, streams[1].wait_closed())

    run_virtual(main, budgets=PATIENT)


def test_more_connections_than_are_sorted_in_at_a_time() -> None:
    async def read_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.readline()
            await reader.read()

    async def main() -> None:
        async with await asyncio.start_server(read_only, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            streams = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(150)))
            for _, writer in streams:
                writer.write(b"no answer\n")
            await asyncio.sleep(3600)
            # That both ends are in this loop is known of each.
            assert "reply from outside" not in running_clock().held_by
            for _, writer in streams:
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for _, writer in streams))

    run_virtual(main, budgets=PATIENT)


@pytest.fixture(scope="module")
def tls() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    return server, client


def test_tls(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def main() -> None:
        async with connected(tls=tls) as (streams,):
            await make_round_trips(streams, 50)
            before = running_clock().held
            for _ in range(100):
                await asyncio.sleep(1)
            assert running_clock().held == before
            # Both ends are in this loop, which shows below TLS only.
            assert not any("_wait_for_data" in label for label in running_clock().held_by)

    run_virtual(main, budgets=PATIENT)


def test_a_connection_that_turns_to_tls(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def turn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        await writer.start_tls(tls[0])
        await echo(reader, writer)

    async def main() -> None:
        async with ticking() as ticks, connected(turn) as ((reader, writer),):
            await ask((reader, writer), b"start tls\n")
            await at_once(writer.start_tls(tls[1], server_hostname="localhost"))
            assert ticks == []
            await make_round_trips((reader, writer), 20)

    run_virtual(main, budgets=PATIENT)


def test_a_file_that_is_sent(tmp_path: Path) -> None:
    content = bytes(1024 * 1024)
    (tmp_path / "file").write_bytes(content)

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), (tmp_path / "file").open("rb") as file:
            await asyncio.get_running_loop().sendfile(writer.transport, file)

    async def main() -> int:
        async with ticking(), connected(send) as ((reader, _),):
            return len(await at_once(reader.read()))

    assert run_virtual(main, budgets=PATIENT)[0] == len(content)


def test_a_file_that_was_sent_leaves_nothing_under_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            with (tmp_path / "file").open("rb") as file:
                await asyncio.get_running_loop().sendfile(writer.transport, file)
            await asyncio.sleep(60)
            writer.write(b"end")

    async def main() -> None:
        async with connected(send) as ((reader, _),):
            await reader.readexactly(1000)
            assert await reader.read() == b"end"

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 60
    assert clock.held < PATIENT.patience


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes that can be selected")
def test_pipes() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reading, writing = os.pipe()
        reader = asyncio.StreamReader()
        incoming, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb")
        )
        outgoing, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(writing, "wb"))
        async with ticking() as ticks:
            for trip in range(50):
                outgoing.write(b"line %d\n" % trip)
                assert await at_once(reader.readline()) == b"line %d\n" % trip
                await asyncio.sleep(0.003)
            assert len(ticks) == 15
        for _ in range(100):
            await asyncio.sleep(1)
        outgoing.close()
        incoming.close()

    _, clock = run_virtual(main, budgets=Budgets(patience=5.0, quiet=0.01))
    assert clock.time() == pytest.approx(100.15)
    assert clock.held < 5.0
