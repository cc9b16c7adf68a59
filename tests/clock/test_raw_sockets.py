"""Sockets below streams: datagrams, the loop's `sock_*` methods, watched descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from typing import Any

import pytest

from pytest_uno.clock.budgets import Budgets
from pytest_uno.core.async_manager import get_async_manager, run_application
from tests.clock.running import run_virtual
from tests.clock.tickers import PATIENT, at_once, running_clock, ticking

BRIEFLY = Budgets(patience=30.0, quiet=0.01, max_jumps=50_000)


@contextlib.contextmanager
def in_a_thread(work: Any) -> Generator[None, None, None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)


@contextlib.contextmanager
def pair() -> Generator[tuple[socket.socket, socket.socket], None, None]:
    ours, its = socket.socketpair()
    with ours, its:
        ours.setblocking(False)
        its.setblocking(False)
        yield ours, its


# ------------------------------------------------------------------ datagrams


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


class Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.answers.put_nowait(data)


def test_datagrams_within_the_loop() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        async with ticking() as ticks:
            client, protocol = await at_once(
                loop.create_datagram_endpoint(Client, remote_addr=server.get_extra_info("sockname"))
            )
            for trip in range(100):
                client.sendto(b"%d" % trip)
                assert await at_once(protocol.answers.get()) == b"%d" % trip
                await asyncio.sleep(0.003)
            assert len(ticks) == 30
        before = running_clock().held
        await asyncio.sleep(3600)
        assert running_clock().held == before
        client.close()
        server.close()

    run_virtual(main, budgets=PATIENT)


def test_datagrams_to_a_thread() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(30)

            def serve() -> None:
                for _ in range(5):
                    data, address = server.recvfrom(100)
                    time.sleep(0.02)
                    server.sendto(data, address)

            with in_a_thread(serve):
                client, protocol = await loop.create_datagram_endpoint(
                    Client, remote_addr=server.getsockname()
                )
                async with ticking():
                    for trip in range(5):
                        client.sendto(b"%d" % trip)
                        assert await at_once(protocol.answers.get()) == b"%d" % trip
                client.close()

    run_virtual(main, budgets=PATIENT)


# ------------------------------------------------------------------ sock_* methods


def test_the_loops_socket_methods_within_the_loop() -> None:
    async def serve(listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(listener)
        with connection:
            while data := await loop.sock_recv(connection, 1000):
                await loop.sock_sendall(connection, data)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
            listener.setblocking(False)
            client.setblocking(False)
            serving = asyncio.create_task(serve(listener))
            async with ticking():
                await at_once(loop.sock_connect(client, listener.getsockname()))
                buffer = bytearray(1000)
                for trip in range(100):
                    await at_once(loop.sock_sendall(client, b"%d" % trip))
                    size = await at_once(loop.sock_recv_into(client, buffer))
                    assert buffer[:size] == b"%d" % trip
                    await asyncio.sleep(0.003)
            for _ in range(24):
                await asyncio.sleep(3600)
            client.shutdown(socket.SHUT_WR)
            await serving

    _, clock = run_virtual(main, budgets=BRIEFLY)
    assert clock.time() == pytest.approx(24 * 3600 + 0.3)
    assert clock.held < BRIEFLY.patience


def test_a_server_with_the_loops_socket_methods_takes_its_virtual_time() -> None:
    async def serve(listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listener)
            with connection:
                data = await loop.sock_recv(connection, 1000)
                await asyncio.sleep(3600)
                await loop.sock_sendall(connection, data)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            serving = asyncio.create_task(serve(listener))
            for _ in range(3):
                with socket.socket() as client:
                    client.setblocking(False)
                    await loop.sock_connect(client, listener.getsockname())
                    await loop.sock_sendall(client, b"question")
                    assert await loop.sock_recv(client, 1000) == b"question"
            happens = asyncio.Event()
            loop.call_later(3600, happens.set)
            await happens.wait()
            serving.cancel()

    _, clock = run_virtual(main, budgets=BRIEFLY)
    assert clock.time() == 4 * 3600
    assert clock.held < BRIEFLY.patience


def test_the_loops_socket_methods_with_a_thread() -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        with pair() as (ours, its):

            def serve() -> None:
                its.settimeout(30)
                data = its.recv(1000)
                for _ in range(3):
                    time.sleep(0.02)
                    its.sendall(data)

            with in_a_thread(serve):
                async with ticking():
                    await at_once(loop.sock_sendall(ours, b"hello"))
                    return b"".join([await at_once(loop.sock_recv(ours, 1000)) for _ in range(3)])

    assert run_virtual(main, budgets=PATIENT)[0] == 3 * b"hello"


@pytest.mark.skipif(not hasattr(asyncio.SelectorEventLoop, "sock_recvfrom"), reason="needs 3.11")
def test_the_loops_datagram_methods() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            for one in (server, client):
                one.bind(("127.0.0.1", 0))
                one.setblocking(False)

            async def serve() -> None:
                for _ in range(50):
                    data, address = await loop.sock_recvfrom(server, 100)
                    await loop.sock_sendto(server, data, address)

            serving = asyncio.create_task(serve())
            async with ticking():
                for trip in range(50):
                    await at_once(loop.sock_sendto(client, b"%d" % trip, server.getsockname()))
                    data, _ = await at_once(loop.sock_recvfrom(client, 100))
                    assert data == b"%d" % trip
                    await asyncio.sleep(0.003)
            await serving

    run_virtual(main, budgets=PATIENT)


# ------------------------------------------------------------------ watched descriptors


def test_a_watched_descriptor_that_a_thread_makes_readable() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        with pair() as (ours, its):

            def write() -> None:
                time.sleep(0.1)
                its.send(b"x")

            loop.add_reader(ours, readable.set)
            with in_a_thread(write):
                async with ticking() as ticks:
                    await at_once(readable.wait())
                    assert ticks == []
            loop.remove_reader(ours)

    run_virtual(main, budgets=PATIENT)


def test_a_watched_descriptor_that_another_process_makes_readable() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        with pair() as (ours, its):
            loop.add_reader(ours, readable.set)
            async with ticking() as ticks:
                command = "import time; time.sleep(0.05); print('x')"
                with subprocess.Popen([sys.executable, "-S", "-c", command], stdout=its.fileno()):
                    await at_once(readable.wait())
                    assert ticks == []
            loop.remove_reader(ours)

    run_virtual(main, budgets=PATIENT)


def test_a_watched_descriptor_that_a_thread_makes_writable() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        writable = asyncio.Event()
        with pair() as (ours, its):
            with contextlib.suppress(BlockingIOError):
                while True:
                    ours.send(bytes(65536))

            def read() -> None:
                time.sleep(0.1)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        its.recv(65536)

            loop.add_writer(ours, writable.set)
            with in_a_thread(read):
                async with ticking() as ticks:
                    await at_once(writable.wait())
                    assert ticks == []
            loop.remove_writer(ours)

    run_virtual(main, budgets=PATIENT)


def test_a_call_from_a_thread_leaves_a_watched_descriptor_as_it_is() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (ours, _):
            loop.add_reader(ours, pytest.fail)
            async with ticking() as ticks:
                for _ in range(5):
                    await at_once(asyncio.to_thread(time.sleep, 0.02))
                assert ticks == []
            loop.remove_reader(ours)

    run_virtual(main, budgets=PATIENT)


def test_an_idle_watched_descriptor_holds_for_a_moment_only() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pair() as (ours, _):
            loop.add_reader(ours, pytest.fail)
            for _ in range(24):
                await asyncio.sleep(3600)
            loop.remove_reader(ours)

    _, clock = run_virtual(main, budgets=BRIEFLY)
    assert clock.time() == 24 * 3600
    assert clock.held < BRIEFLY.patience


def test_a_watched_descriptor_longer_than_the_patience_lets_time_flow() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        with pair() as (ours, _):
            loop.add_reader(ours, pytest.fail)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await asyncio.Event().wait()
            loop.remove_reader(ours)
        return loop.time()

    impatient = Budgets(patience=0.05, quiet=0.01)
    ended, clock = run_virtual(main, budgets=impatient)
    assert ended == 0.1
    assert clock.held > impatient.patience


# ------------------------------------------------------------------ an application that waits for signals


def test_an_application_that_waits_for_signals_holds_nothing() -> None:
    async def start() -> None:
        manager = get_async_manager()

        async def work() -> None:
            for _ in range(24):
                await asyncio.sleep(3600)
            manager.request_shutdown()

        manager.create_task(work())

    _, clock = run_virtual(lambda: run_application(start), budgets=PATIENT)
    assert clock.time() == 24 * 3600
    assert clock.held == 0


def test_a_signal_ends_an_application_on_virtual_time() -> None:
    async def start() -> None:
        async def work() -> None:
            await asyncio.sleep(3600)
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(3600)

        get_async_manager().create_task(work())

    number, clock = run_virtual(lambda: run_application(start), budgets=PATIENT)
    assert number is signal.SIGTERM
    assert clock.time() == 3600


class Wrapped:
    """What a library hands to the loop instead of a socket: it does the same, and is none."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def test_what_only_looks_like_a_socket_is_read_from() -> None:
    async def main() -> bytes:
        with pair() as (ours, its):
            wrapped: Any = Wrapped(ours)
            reading = asyncio.create_task(asyncio.get_running_loop().sock_recv(wrapped, 1))
            await asyncio.sleep(0)
            its.send(b"x")
            return await reading

    assert run_virtual(main)[0] == b"x"
