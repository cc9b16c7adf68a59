"""The private attributes of transports, servers and processes are there, and mean what they are taken for."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from pytest_uno.leaks.network.transport_internals import (
    ASYNC_PROCESS,
    SERVER,
    TRANSPORTS,
    address_of,
    connections_of,
    descriptor_of,
    is_of_process,
    is_open,
    is_running,
    loop_of,
    popen_of,
    program_of,
    protocol_of,
    raw_of,
    raw_sockets,
    server_of,
    under_tls,
)

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="asyncio's selector loop has none there")


async def forever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


def test_a_connection_and_its_server() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        sock = socket.create_server(("127.0.0.1", 0))
        server = await asyncio.start_server(forever, sock=sock)
        assert isinstance(server, SERVER)
        assert raw_sockets(server) == (sock,)
        _, writer = await asyncio.open_connection(*sock.getsockname())
        await asyncio.sleep(0.01)
        transport: Any = writer.transport
        (other,) = connections_of(server, loop)
        assert isinstance(transport, TRANSPORTS)
        assert isinstance(other, TRANSPORTS)
        assert (server_of(transport), server_of(other)) == (None, server)
        address = address_of(transport)
        assert address is not None
        assert address_of(other) == address[::-1]
        raw = raw_of(transport)
        assert isinstance(raw, socket.socket)
        assert raw.fileno() == descriptor_of(transport)
        assert loop_of(transport) is loop
        assert is_open(transport)
        assert under_tls(transport) is transport
        assert isinstance(protocol_of(transport), asyncio.StreamReaderProtocol)
        writer.close()
        assert not is_open(transport)
        await writer.wait_closed()
        assert loop_of(transport) is None
        assert raw_of(transport) is raw
        server.close()
        assert raw_sockets(server) == ()
        await asyncio.sleep(0.01)
        assert connections_of(server, loop) == []

    asyncio.run(main())


def test_a_pair_of_sockets_has_no_address() -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        _, writer = await asyncio.open_connection(sock=ours)
        has_names = any((ours.getsockname(), ours.getpeername()))
        assert (address_of(writer.transport) is not None) is has_names
        writer.close()
        theirs.close()
        await writer.wait_closed()

    asyncio.run(main())


def test_a_connection_with_tls() -> None:
    authority: Any = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(theirs)
    authority.configure_trust(ours)

    async def main() -> None:
        server = await asyncio.start_server(forever, "127.0.0.1", 0, ssl=theirs)
        port = server.sockets[0].getsockname()[1]
        connection = asyncio.open_connection("127.0.0.1", port, ssl=ours, server_hostname="localhost")
        _, writer = await connection
        transport: Any = under_tls(writer.transport)
        assert transport is not writer.transport
        assert isinstance(transport, TRANSPORTS)
        assert isinstance(protocol_of(transport), asyncio.StreamReaderProtocol)
        assert is_open(transport)
        writer.close()
        assert not is_open(transport)
        await writer.wait_closed()
        server.close()
        await asyncio.sleep(0.01)

    asyncio.run(main())


@posix_only
def test_pipes() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = os.pipe()
        with os.fdopen(ours, "rb") as reading, os.fdopen(theirs, "wb") as writing:
            for connect, pipe in ((loop.connect_read_pipe, reading), (loop.connect_write_pipe, writing)):
                transport, _ = await connect(asyncio.Protocol, pipe)
                assert isinstance(transport, TRANSPORTS)
                assert raw_of(transport) is pipe
                assert descriptor_of(transport) == pipe.fileno()
                assert is_open(transport)
                assert not is_of_process(transport)
                transport.close()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert loop_of(transport) is None

    asyncio.run(main())


@posix_only
def test_a_process() -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE)
        transport = vars(process)["_transport"]
        assert isinstance(transport, ASYNC_PROCESS)
        assert is_running(transport)
        assert is_of_process(transport.get_pipe_transport(0))
        popen = popen_of(transport)
        assert popen is not None
        assert popen.pid == process.pid
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        assert not is_running(transport)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["/bin/sleep", "9"], "sleep"),
        (("C:\\bin\\sleep.exe",), "sleep.exe"),
        ("sleep 9", "sleep"),
        (b"/bin/sleep", "sleep"),
        ([Path("bin") / "sleep"], "sleep"),
        (Path("bin") / "sleep", "sleep"),
        ([], "process"),
        ("", "process"),
    ],
)
def test_the_name_of_a_program(arguments: Any, name: str) -> None:
    class Process:
        args = arguments

    process: Any = Process()
    assert program_of(process) == name


def test_the_name_of_no_program() -> None:
    assert program_of(None) == "process"


def test_a_process_without_a_program_does_not_run() -> None:
    class Starting(asyncio.SubprocessTransport):
        def is_closing(self) -> bool:
            return False

        def get_returncode(self) -> int | None:
            return None

    assert not is_running(Starting())
