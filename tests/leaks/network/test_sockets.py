"""Sockets that tests leave."""

from __future__ import annotations

import asyncio
import gc
import http.client
import http.server
import inspect
import multiprocessing
import os
import socket
import socketserver
import ssl
import threading
import warnings
from typing import Any

import pytest

from tests.leaks.examples import LineOf, Test, listed_in, nothing, on_both_loops

LEAKY: list[Any] = []
CLEAN: list[Any] = []
KEPT: list[Any] = []

leaks = listed_in(LEAKY)
clean = listed_in(CLEAN)


async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None: ...


class Cycle:
    """Holds itself, so that only a collection finds it."""

    def __init__(self, **things: Any) -> None:
        self.me = self
        vars(self).update(things)


class Closing(Cycle):
    def __del__(self) -> None:
        vars(self)["sock"].close()


@leaks
async def kept() -> None:
    KEPT.append(socket.socket())  # LEAK


@leaks
async def dropped() -> None:
    socket.socket()  # LEAK


@leaks
async def dropped_in_a_cycle() -> None:
    Cycle(sock=socket.socket())  # LEAK


@leaks
async def dropped_in_a_cycle_and_collected() -> None:
    Cycle(sock=socket.socket())  # LEAK
    gc.collect()


@leaks
async def pair_kept() -> None:
    KEPT.extend(socket.socketpair())  # LEAK


@leaks
async def pair_dropped() -> None:
    socket.socketpair()  # LEAK


@leaks
async def one_of_a_pair_kept() -> None:
    ours, theirs = socket.socketpair()  # LEAK
    theirs.close()
    KEPT.append(ours)


@leaks
async def one_of_a_pair_dropped_and_one_kept() -> None:
    KEPT.append(socket.socketpair()[0])  # LEAK


@leaks
async def through_the_standard_library() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        KEPT.append(socket.create_connection(server.getsockname()))  # LEAK


@leaks
async def accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        KEPT.append(server.accept()[0])  # LEAK


@leaks
async def of_a_server_in_a_class() -> None:
    KEPT.append(socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler))  # LEAK


@leaks
async def of_an_http_client() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        KEPT.append(http.client.HTTPConnection(*server.getsockname()))
        KEPT[-1].connect()  # LEAK


@leaks
async def used_with_the_loop() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        await loop.sock_sendall(ours, b"x")
    KEPT.append(ours.dup())  # LEAK
    ours.close()


@leaks
async def in_a_helper_thread() -> None:
    def work() -> None:
        KEPT.append(socket.socket())  # LEAK

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@leaks
async def in_a_task() -> None:
    async def job() -> None:
        KEPT.append(socket.socket())  # LEAK

    await asyncio.create_task(job())


@clean
async def closed() -> None:
    socket.socket().close()
    with socket.socket():
        pass
    for sock in socket.socketpair():
        sock.close()


@clean
async def detached() -> None:
    os.close(socket.socket().detach())


@clean
async def closed_by_its_number() -> None:
    KEPT.append(socket.socket())
    os.close(KEPT[-1].fileno())


@clean
async def closed_by_its_holder_in_a_collection() -> None:
    Closing(sock=socket.socket())
    gc.collect()


@clean
async def closed_by_its_holder_in_a_collection_before_the_judgement() -> None:
    Closing(sock=socket.socket())


@clean
async def closed_with_a_file_on_it() -> None:
    ours, theirs = socket.socketpair()
    with ours.makefile("rb"), theirs:
        ours.close()


@clean
async def handed_to_another_object() -> None:
    sock = socket.socket()
    with socket.socket(fileno=sock.detach()):
        pass


@clean
async def wrapped_with_tls() -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    ours, theirs = socket.socketpair()
    with theirs, context.wrap_socket(ours, do_handshake_on_connect=False):
        pass


@clean
async def handed_to_a_stream() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        _, writer = await asyncio.open_connection(sock=ours)
        writer.close()
        await writer.wait_closed()


@clean
async def handed_to_a_stream_that_is_closing() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        _, writer = await asyncio.open_connection(sock=ours)
        KEPT.append(writer)
        writer.close()


@clean
async def handed_to_a_server() -> None:
    server = await asyncio.start_server(ignore, sock=socket.create_server(("127.0.0.1", 0)))
    server.close()


@clean
async def handed_to_a_datagram_endpoint() -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=sock)
    transport.close()


@clean
async def of_loops() -> None:
    asyncio.new_event_loop().close()
    await asyncio.to_thread(asyncio.run, nothing())


@clean
async def of_multiprocessing() -> None:
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        ours.send("x")
        assert theirs.recv() == "x"


@clean
async def of_an_http_server() -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None: ...  # pyright: ignore[reportIncompatibleMethodOverride]

    def get() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
        connection.request("GET", "/")
        status = connection.getresponse().status
        connection.close()
        return status

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        assert await asyncio.to_thread(get) == 204
        server.shutdown()
        thread.join()


@clean
async def refused() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(OSError):
            socket.create_connection(sock.getsockname())


@clean
async def expected_to_be_dropped() -> None:
    with pytest.warns(ResourceWarning, match="unclosed"):
        socket.socket()


@on_both_loops
@pytest.mark.parametrize("test", LEAKY)
def test_a_leak_is_reported_once(bench: Any, test: Test, line_of: LineOf) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        (finding,) = bench.run_test(test, loop_ends=False)
    pair = test in (pair_kept, pair_dropped)
    what = "pair of sockets" if pair else "socket"
    assert (finding.rule, finding.subject) == ("UNO404", f"{what} was not closed")
    assert finding.created[0].line == line_of(test, "# LEAK")
    assert all(sock.fileno() == -1 for sock in KEPT if isinstance(sock, socket.socket))
    KEPT.clear()
    gc.collect()
    assert bench.run_test(nothing) == []


@pytest.mark.parametrize("action", ["always", "ignore"])
def test_a_dropped_socket_is_reported_whoever_keeps_its_warning(bench: Any, action: Any) -> None:
    with warnings.catch_warnings(record=True):
        warnings.simplefilter(action)
        assert [finding.rule for finding in bench.run_test(dropped)] == ["UNO404"]


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert bench.run_test(test) == []
        for sock in KEPT:
            if isinstance(sock, socket.socket):
                sock.detach()
        KEPT.clear()
        gc.collect()
        assert bench.run_test(nothing) == []


def test_sockets_of_one_line_are_one_finding_each(bench: Any) -> None:
    async def test() -> None:
        KEPT.extend(socket.socket() for _ in range(3))

    assert [finding.rule for finding in bench.run_test(test)] == ["UNO404"] * 3
    KEPT.clear()


@pytest.mark.parametrize("name", ["__init__", "close", "detach"])
def test_a_patched_method_looks_as_before(bench: Any, name: str) -> None:
    def shape() -> tuple[Any, ...]:
        method = getattr(socket.socket, name)
        try:
            signature: Any = inspect.signature(method)
        except ValueError:
            signature = None
        return method.__name__, method.__doc__, signature

    patched = shape()
    bench.detection.remove()
    assert patched == shape()


def test_a_class_of_the_users_is_a_socket_too(bench: Any) -> None:
    class Own(socket.socket):
        def __init__(self, purpose: str) -> None:
            super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
            self.purpose = purpose

    async def test() -> None:
        KEPT.append(Own("x"))

    (finding,) = bench.run_test(test)
    assert finding.rule == "UNO404"
    assert KEPT.pop().fileno() == -1


def test_nothing_is_recorded_while_nobody_owns_anything(bench: Any) -> None:
    (detector,) = [each for each in bench.detection._further if type(each).__name__ == "OpenSockets"]
    with socket.socket():
        assert len(detector._made) == 0


def test_sockets_dropped_one_after_the_other_are_told_apart(bench: Any) -> None:
    async def test() -> None:
        socket.socket()
        socket.socket()  # often where the first one was

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert [finding.rule for finding in bench.run_test(test)] == ["UNO404"] * 2


def test_a_socket_that_is_open_is_not_excused_by_a_look_at_warnings(bench: Any) -> None:
    async def test() -> None:
        KEPT.append(socket.socket())
        with warnings.catch_warnings(record=True):
            pass

    (finding,) = bench.run_test(test)
    assert finding.rule == "UNO404"
    KEPT.clear()


@pytest.mark.parametrize("action", ["always", "ignore"])
def test_a_socket_whose_warning_the_test_looks_for_is_acknowledged(bench: Any, action: Any) -> None:
    async def test() -> None:
        with warnings.catch_warnings(record=True):
            warnings.simplefilter(action)
            socket.socket()

    assert bench.run_test(test) == []
