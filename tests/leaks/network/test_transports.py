from __future__ import annotations

import asyncio
import gc
import inspect
import os
import socket
import ssl
import sys
import tempfile
import warnings
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.leaks.network.transport_internals import TRANSPORTS
from pytest_uno.leaks.owners import OWNER, Owner

Test = Callable[[], Coroutine[Any, Any, object]]
LineOf = Callable[[Callable[..., object], str], int]

LEAKY: list[Any] = []
CLEAN: list[Test] = []
KEPT: list[Any] = []

on_both_loops = pytest.mark.parametrize("bench", [asyncio.new_event_loop, VirtualEventLoop], indirect=True)
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="asyncio has no pipes of descriptors there")


def leaks(subject: str, *marks: Any) -> Callable[[Test], Test]:
    def register(test: Test) -> Test:
        LEAKY.append(pytest.param(test, subject, id=test.__name__, marks=marks))
        return test

    return register


def clean(test: Test) -> Test:
    CLEAN.append(test)
    return test


async def nothing() -> None: ...


@pytest.fixture(autouse=True)
def the_loop_ends_what_is_closing(bench: Any) -> Iterator[None]:
    yield
    KEPT.clear()
    bench.run_as(None, lambda: asyncio.sleep(0.01))


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        KEPT.append(self)

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write(data)


class Paused(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def serve(protocol: Callable[[], asyncio.BaseProtocol] | None = None) -> tuple[asyncio.Server, int]:
    if protocol is None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
    else:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocol, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


class Client:
    """A library's client, of the user's."""

    async def open(self, port: int) -> None:
        _, self.writer = await asyncio.open_connection("127.0.0.1", port)

    async def aclose(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


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


@on_both_loops
@pytest.mark.parametrize("closes", [True, False])
def test_a_connection_with_tls(bench: Any, closes: bool) -> None:
    authority: Any = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(theirs)
    authority.configure_trust(ours)

    async def test() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=theirs)
        port = server.sockets[0].getsockname()[1]
        connection = asyncio.open_connection("127.0.0.1", port, ssl=ours, server_hostname="localhost")
        reader, writer = await connection
        writer.write(b"hello")
        assert await reader.read(100) == b"hello"
        KEPT.append(writer)
        if closes:
            writer.close()
        server.close()

    findings = bench.run_test(test)
    assert [finding.rule for finding in findings] == ([] if closes else ["UNO401"])
    KEPT.clear()


@on_both_loops
def test_a_writer_with_tls_that_is_dropped(bench: Any) -> None:
    authority: Any = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(theirs)
    authority.configure_trust(ours)

    async def test() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=theirs)
        port = server.sockets[0].getsockname()[1]
        await asyncio.open_connection("127.0.0.1", port, ssl=ours, server_hostname="localhost")
        server.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        (finding,) = bench.run_test(test)
    assert finding.subject == "connection of a StreamWriter was not closed"


def test_the_handler_of_a_reported_connection_ends_with_it(bench: Any) -> None:
    async def stubborn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        KEPT.append(asyncio.current_task())
        await asyncio.Event().wait()
        writer.close()

    async def test() -> None:
        server = await asyncio.start_server(stubborn, "127.0.0.1", 0)
        KEPT.append(await asyncio.open_connection(*server.sockets[0].getsockname()[:2]))
        await asyncio.sleep(0.01)
        server.close()

    (finding,) = bench.run_test(test, loop_ends=False)
    assert finding.rule == "UNO401"
    task = KEPT[0]
    assert task.cancelled()
    KEPT.clear()


def test_the_handler_of_a_closed_connection_is_a_task_that_leaks(bench: Any) -> None:
    async def stubborn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()
        writer.close()

    async def test() -> None:
        server = await asyncio.start_server(stubborn, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        await asyncio.sleep(0.01)
        writer.close()
        server.close()

    (finding,) = bench.run_test(test, loop_ends=False)
    assert (finding.rule, finding.target.rpartition(".")[2]) == ("UNO101", "stubborn")
    assert bench.run_test(nothing) == []


def test_the_connection_of_a_leaked_task_goes_with_the_task(bench: Any) -> None:
    ours, theirs = socket.socketpair()

    async def read() -> None:
        reader, writer = await asyncio.open_connection(sock=ours)
        KEPT.append(writer)
        await reader.read()

    async def test() -> None:
        KEPT.append(asyncio.create_task(read()))
        await asyncio.sleep(0.01)

    with theirs:
        (finding,) = bench.run_test(test, loop_ends=False)
        assert finding.rule == "UNO101"
        assert KEPT.pop().is_closing()
        assert bench.run_test(nothing) == []
    KEPT.clear()


def test_what_a_wider_fixture_holds_is_the_fixtures(bench: Any) -> None:
    client, fixture = Client(), Owner("fixture", "client", "session")
    bench.detection.retain(fixture, client)
    hub = Owner("fixture", "server", "session")
    server, port = bench.run_as(hub, serve)

    async def test() -> None:
        await client.open(port)

    assert bench.run_test(test, loop_ends=False) == []
    assert bench.run_test(nothing, loop_ends=False) == []
    assert not client.writer.is_closing()
    fixture.ended = hub.ended = True
    server.close()
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert (finding.rule, finding.owner.name) == ("UNO401", "client")
    assert client.writer.is_closing()


def test_what_a_wider_server_accepts_is_the_servers(bench: Any) -> None:
    hub = Owner("fixture", "server", "session")
    lost: list[object] = []

    class Accepted(Echo):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.append(self)

    async def all_lost() -> None:
        while len(lost) < 2:
            await asyncio.sleep(0.001)

    server, port = bench.run_as(hub, lambda: serve(Accepted))

    async def leaky() -> None:
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", port)

    async def clean() -> None:
        transport, _ = await asyncio.get_running_loop().create_connection(Echo, "127.0.0.1", port)
        transport.write(b"x")
        await asyncio.sleep(0.01)
        transport.close()

    assert bench.run_test(clean, loop_ends=False) == []
    (finding,) = bench.run_test(leaky, loop_ends=False)
    assert finding.created[0].function.endswith("leaky")
    hub.ended = True
    server.close()
    assert bench.detection.judge_loop(bench.loop, default_owner=Owner("session", "")) == []
    bench.run_as(hub, lambda: asyncio.wait_for(all_lost(), 10))  # what is closing would go with a warning
    KEPT.clear()


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


def test_its_timers_go_with_a_connection(bench: Any) -> None:
    class Idle(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            asyncio.get_running_loop().call_later(60, self.end)

        def end(self) -> None: ...

    ours, theirs = socket.socketpair()

    async def test() -> None:
        KEPT.append(await asyncio.get_running_loop().create_connection(Idle, sock=ours))

    with theirs:
        (finding,) = bench.run_test(test)
    assert (finding.rule, finding.target.rpartition(".")[2]) == ("UNO401", "Idle")
    KEPT.clear()


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


def test_the_connection_of_a_loop_that_runs_is_closed_as_well(bench: Any) -> None:
    owner = Owner("test", "test")

    async def test() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            snapshot = bench.detection.snapshot(owner)
            OWNER.set(owner)
            _, writer = await asyncio.open_connection(sock=ours)
            owner.ended = True
            (finding,) = bench.detection.compare(snapshot, bench.loop, loop_ends=False)
            assert finding.rule == "UNO401"
            assert writer.is_closing()

    bench.run_as(None, test)


def test_each_handler_goes_with_its_own_connection(bench: Any) -> None:
    async def stubborn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        KEPT.append(asyncio.current_task())
        await asyncio.Event().wait()
        writer.close()

    async def test() -> None:
        server = await asyncio.start_server(stubborn, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        KEPT.extend([await asyncio.open_connection("127.0.0.1", port) for _ in range(2)])
        await asyncio.sleep(0.01)
        server.close()

    findings = bench.run_test(test, loop_ends=False)
    assert [finding.rule for finding in findings] == ["UNO401"] * 2
    assert all(task.cancelled() for task in KEPT if isinstance(task, asyncio.Task))
    KEPT.clear()


def test_a_task_of_a_library_that_serves_no_connection_stays(bench: Any) -> None:
    names: dict[str, Any] = {"asyncio": asyncio}
    source = "def start(coro): asyncio.get_running_loop().call_soon(lambda: kept.append(asyncio.ensure_future(coro)))"
    exec(compile(source, "/x/site-packages/lib.py", "exec"), names)
    names["kept"] = tasks = []  # type: ignore[var-annotated]

    async def test() -> None:
        names["start"](asyncio.Event().wait())
        server, port = await serve()
        KEPT.append(await asyncio.open_connection("127.0.0.1", port))
        await asyncio.sleep(0.01)
        server.close()

    findings = bench.run_test(test, loop_ends=False)
    assert "UNO401" in [finding.rule for finding in findings]
    assert len(tasks) == 1
    KEPT.clear()
