"""Connections, datagram endpoints and pipes that tests leave."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import socket
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest

from pytest_uno.leaks.network.transport_internals import TRANSPORTS
from tests.leaks.examples import LineOf, Test, listed_in, listed_with, nothing, on_both_loops
from tests.leaks.network.connections import KEPT, Client, Echo, answer, serve

LEAKY: list[Any] = []
CLEAN: list[Any] = []

leaks = listed_with(LEAKY)
clean = listed_in(CLEAN)

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="asyncio has no pipes of descriptors there")
pytestmark = pytest.mark.usefixtures("the_loop_ends_what_is_closing")


class Paused(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()


@leaks("connection of a StreamWriter")
async def streams_kept() -> None:
    server, port = await serve()
    KEPT.append(await asyncio.open_connection("127.0.0.1", port))  # LEAK
    server.close()


@leaks("connection of a StreamWriter")
async def streams_kept_and_answered() -> None:
    server, port = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)  # LEAK
    writer.write(b"hello")
    assert await reader.read(100) == b"hello"
    KEPT.append((reader, writer))
    server.close()


@leaks("connection of a StreamWriter")
async def streams_dropped() -> None:
    server, port = await serve()
    await asyncio.open_connection("127.0.0.1", port)  # LEAK
    server.close()
    await asyncio.sleep(0)


@leaks("connection of a StreamWriter")
async def streams_dropped_in_a_cycle() -> None:
    server, port = await serve()
    cycle: list[Any] = [await asyncio.open_connection("127.0.0.1", port)]  # LEAK
    cycle.append(cycle)
    server.close()


@leaks("connection of a Protocol")
async def protocol_kept() -> None:
    server, port = await serve(Echo)
    loop = asyncio.get_running_loop()
    KEPT.append(await loop.create_connection(asyncio.Protocol, "127.0.0.1", port))  # LEAK
    server.close()


@leaks("connection of a Protocol")
async def protocol_dropped() -> None:
    server, port = await serve(Echo)
    await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", port)  # LEAK
    server.close()


@leaks("accepted connection of a Echo")
async def the_end_that_the_server_has() -> None:
    class Half(Echo):
        def eof_received(self) -> bool:
            return True  # stays open

    Half.__qualname__ = "Echo"
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Half, "127.0.0.1", 0)  # LEAK
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    await asyncio.sleep(0.01)
    writer.close()
    server.close()


@leaks("connection of a StreamWriter")
async def over_a_socket_of_ones_own() -> None:
    ours, theirs = socket.socketpair()
    KEPT.append(theirs)
    KEPT.append(await asyncio.open_connection(sock=ours))  # LEAK
    theirs.close()


@leaks("connection of a StreamWriter")
async def in_a_client() -> None:
    async def connect(client: Client) -> None:
        client.writer = (await asyncio.open_connection("127.0.0.1", port))[1]  # LEAK

    server, port = await serve()
    KEPT.append(Client())
    await asyncio.create_task(connect(KEPT[-1]))
    server.close()


@leaks("connection of a StreamWriter", posix_only)
async def over_a_unix_socket() -> None:
    path = Path(tempfile.gettempdir(), f"uno-{os.getpid()}.sock")
    server = await asyncio.start_unix_server(answer, path)
    KEPT.append(await asyncio.open_unix_connection(path))  # LEAK
    await asyncio.sleep(0.01)
    server.close()
    path.unlink(missing_ok=True)


@leaks("datagram transport of a DatagramProtocol")
async def datagram_endpoint() -> None:
    loop = asyncio.get_running_loop()
    address = ("127.0.0.1", 0)
    KEPT.append(await loop.create_datagram_endpoint(asyncio.DatagramProtocol, address))  # LEAK


@leaks("pipe of a Paused", posix_only)
async def read_pipe() -> None:
    ours, theirs = os.pipe()
    os.close(theirs)
    loop = asyncio.get_running_loop()
    KEPT.append(await loop.connect_read_pipe(Paused, os.fdopen(ours, "rb")))  # LEAK


@leaks("pipe of a Paused", posix_only)
async def read_pipe_dropped_in_a_cycle() -> None:
    ours, theirs = os.pipe()
    os.close(theirs)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(Paused, os.fdopen(ours, "rb"))  # LEAK
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@clean
async def closed_and_awaited() -> None:
    server, port = await serve()
    client = Client()
    await client.open(port)
    await client.aclose()
    server.close()


@clean
async def closed_only() -> None:
    server, port = await serve()
    client = Client()
    await client.open(port)
    client.writer.close()
    server.close()


@clean
async def closed_and_dropped() -> None:
    server, port = await serve()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    del writer, _
    gc.collect()
    server.close()


@clean
async def aborted() -> None:
    server, port = await serve(Echo)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
    transport.abort()
    server.close()


@clean
async def closed_by_the_other_end() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname()[:2])
    server.close()


@clean
async def with_much_to_send_yet() -> None:
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=ours)
    writer.write(b"x" * 10_000_000)
    writer.close()
    theirs.close()


@clean
async def of_a_loop_of_its_own() -> None:
    async def job() -> None:
        server, port = await serve()
        KEPT.append(await asyncio.open_connection("127.0.0.1", port))
        server.close()

    await asyncio.to_thread(asyncio.run, job())


@clean
async def datagrams_closed() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
    transport.close()


@clean
async def refused() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(OSError):
            await asyncio.open_connection(*sock.getsockname())


@clean
async def expected_to_be_dropped() -> None:
    server, port = await serve()
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        await asyncio.open_connection("127.0.0.1", port)
        gc.collect()
    server.close()


@on_both_loops
@pytest.mark.parametrize(("test", "subject"), LEAKY)
def test_a_leak_is_reported_once(bench: Any, test: Test, subject: str, line_of: LineOf) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        (finding,) = bench.run_test(test, loop_ends=False)
        assert (finding.rule, finding.subject) == ("UNO401", f"{subject} was not closed")
        assert finding.created[0].line == line_of(test, "# LEAK")
        KEPT.clear()
        gc.collect()
    assert bench.run_test(nothing, loop_ends=False) == []
    assert bench.unhandled == []


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    assert bench.run_test(test) == []
    assert bench.unhandled == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        KEPT.clear()
        gc.collect()
    assert bench.run_test(nothing) == []


@posix_only
@on_both_loops
def test_a_pipe_to_write_to(bench: Any) -> None:
    theirs, ours = os.pipe()

    async def test() -> None:
        loop = asyncio.get_running_loop()
        KEPT.append(await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(ours, "wb")))

    (finding,) = bench.run_test(test)
    assert (finding.rule, finding.subject) == ("UNO401", "pipe of a BaseProtocol was not closed")
    KEPT.clear()
    os.close(theirs)


@pytest.mark.parametrize("cls", [*TRANSPORTS, asyncio.StreamWriter])
@pytest.mark.parametrize("name", ["__init__", "__del__"])
def test_a_patched_method_looks_as_before(bench: Any, cls: type[Any], name: str) -> None:
    def shape() -> tuple[Any, ...]:
        method = getattr(cls, name)
        return method.__name__, method.__doc__, inspect.signature(method)

    patched = shape()
    bench.detection.remove()
    assert patched == shape()


def test_nothing_is_recorded_while_nobody_owns_anything(bench: Any) -> None:
    (detector,) = [each for each in bench.detection._further if type(each).__name__ == "OpenTransports"]
    bench.run_as(None, closed_and_awaited)
    bench.run_as(None, lambda: asyncio.sleep(0.01))
    assert len(detector._made) == 0
