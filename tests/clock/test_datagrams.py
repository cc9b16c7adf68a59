"""Datagram endpoints: replies from another process, senders that only tell, and pairs within the loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from pytest_uno.clock import VirtualClock, VirtualEventLoop
from pytest_uno.clock.budgets import Budgets
from tests.clock.running import run_virtual
from tests.clock.tickers import PATIENT, at_once, running_clock, ticking

IMPATIENT = Budgets(patience=0.05, quiet=0.01, max_jumps=50_000)

ECHO = """
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    while True:
        data, address = server.recvfrom(100)
        time.sleep(0.02)
        for _ in range(int(data)):
            server.sendto(data, address)
            time.sleep(0.005)
"""


@contextlib.contextmanager
def echo_process() -> Generator[tuple[str, int], None, None]:
    """Answer each datagram, in another process, as often as it says."""
    with subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield "127.0.0.1", int(process.stdout.readline())
        finally:
            process.kill()


@contextlib.contextmanager
def silent_socket() -> Generator[tuple[str, int], None, None]:
    """Receive datagrams that nobody reads."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        yield receiver.getsockname()


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


class Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.answers.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        self.answers.put_nowait(exc)


@contextlib.asynccontextmanager
async def endpoint(**options: Any) -> AsyncGenerator[tuple[asyncio.DatagramTransport, Client], None]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(Client, **options)
    try:
        yield transport, protocol
    finally:
        transport.close()
        await asyncio.sleep(0)


def held_by_datagrams(clock: VirtualClock) -> float:
    return sum(seconds for label, seconds in clock.held_by.items() if "datagram" in label)


# ------------------------------------------------------------------ from the outside


@pytest.mark.parametrize("is_connected", [True, False], ids=["connected", "unconnected"])
def test_replies_of_another_process_take_no_virtual_time(is_connected: bool) -> None:
    async def main() -> None:
        with echo_process() as address:
            where: Any = {"remote_addr": address} if is_connected else {"local_addr": ("127.0.0.1", 0)}
            async with endpoint(**where) as (client, protocol), ticking():
                for _ in range(5):
                    client.sendto(b"1", None if is_connected else address)
                    assert await at_once(protocol.answers.get()) == b"1"
                    await asyncio.sleep(0.003)

    clock = run_virtual(main, budgets=PATIENT)[1]
    assert held_by_datagrams(clock) > 0


def test_several_questions_at_once() -> None:
    async def main() -> None:
        with echo_process() as address:
            async with endpoint(remote_addr=address) as (client, protocol), ticking():
                for _ in range(5):
                    client.sendto(b"1")
                    client.sendto(b"1")
                    await at_once(protocol.answers.get())
                    await at_once(protocol.answers.get())
                    await asyncio.sleep(0.003)

    run_virtual(main, budgets=Budgets(patience=30.0, quiet=30.0, max_jumps=50_000))


def test_a_refusal_is_an_answer() -> None:
    async def main() -> None:
        with silent_socket() as address:
            pass
        async with endpoint(remote_addr=address) as (client, protocol), ticking():
            client.sendto(b"1")
            assert isinstance(await at_once(protocol.answers.get()), ConnectionError)
            await asyncio.sleep(1)

    assert run_virtual(main, budgets=PATIENT)[1].held < PATIENT.patience


def test_what_only_tells_holds_once() -> None:
    async def main() -> None:
        clock = running_clock()
        with silent_socket() as address:
            async with endpoint(remote_addr=address) as (client, _):
                client.sendto(b"requests:1|c")
                await asyncio.sleep(60)
                held = held_by_datagrams(clock)
                assert held >= IMPATIENT.patience
                for _ in range(1000):
                    client.sendto(b"requests:1|c")
                    await asyncio.sleep(60)
                assert held_by_datagrams(clock) == held

    clock = run_virtual(main, budgets=IMPATIENT)[1]
    assert clock.elapsed == 60 * 1001


def test_an_endpoint_that_is_spoken_to_expects_replies_again() -> None:
    async def main() -> None:
        clock = running_clock()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            async with endpoint(remote_addr=peer.getsockname()) as (client, protocol):
                client.sendto(b"1")
                await asyncio.sleep(60)
                held = held_by_datagrams(clock)
                peer.sendto(b"2", client.get_extra_info("sockname"))
                assert await protocol.answers.get() == b"2"
                await asyncio.sleep(60)
                assert held_by_datagrams(clock) == held
                client.sendto(b"3")
                await asyncio.sleep(60)
                assert held_by_datagrams(clock) >= held + IMPATIENT.patience

    run_virtual(main, budgets=IMPATIENT)


def test_a_closed_endpoint_holds_nothing() -> None:
    async def main() -> None:
        with silent_socket() as address:
            async with endpoint(remote_addr=address) as (client, _):
                client.sendto(b"1")
            await asyncio.sleep(3600)

    assert held_by_datagrams(run_virtual(main, budgets=PATIENT)[1]) == 0


def test_one_reply_to_several_datagrams_is_enough_for_a_sleeper() -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            async with endpoint(remote_addr=peer.getsockname()) as (client, protocol):
                client.sendto(b"1")
                client.sendto(b"2")
                peer.sendto(b"done", client.get_extra_info("sockname"))
                assert await protocol.answers.get() == b"done"
                await asyncio.sleep(3600)

    assert run_virtual(main, budgets=PATIENT)[1].held < PATIENT.patience


def test_a_socket_that_somebody_closed_below_its_endpoint_is_no_address() -> None:
    async def main() -> None:
        with silent_socket() as address, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            async with endpoint(sock=sock), endpoint(remote_addr=address) as (client, _):
                sock.close()
                client.sendto(b"1")
                await asyncio.sleep(60)

    assert held_by_datagrams(run_virtual(main, budgets=IMPATIENT)[1]) >= IMPATIENT.patience


# ------------------------------------------------------------------ within the loop


@pytest.mark.parametrize("bound_to", ["127.0.0.1", "0.0.0.0"])
def test_a_pair_within_the_loop_holds_nothing(bound_to: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server, _ = await loop.create_datagram_endpoint(Echo, local_addr=(bound_to, 0))
        address = ("127.0.0.1", server.get_extra_info("sockname")[1])
        async with endpoint(remote_addr=address) as (client, protocol), ticking() as ticks:
            for trip in range(200):
                client.sendto(b"%d" % trip)
                assert await at_once(protocol.answers.get()) == b"%d" % trip
                await asyncio.sleep(0.003)
            assert len(ticks) == 60
        server.close()

    assert held_by_datagrams(run_virtual(main, budgets=PATIENT)[1]) == 0


def test_a_proxy_waits_for_the_outside_only() -> None:
    """What comes from within the loop is no reply to what was sent to the outside."""

    async def main() -> None:
        with echo_process() as address:
            async with (
                endpoint(local_addr=("127.0.0.1", 0)) as (proxy, at_proxy),
                endpoint(remote_addr=proxy.get_extra_info("sockname")) as (client, _),
                ticking(),
            ):
                proxy.sendto(b"1", address)
                client.sendto(b"from within")
                assert await at_once(at_proxy.answers.get()) == b"from within"
                assert await at_once(at_proxy.answers.get()) == b"1"

    run_virtual(main, budgets=PATIENT)


def test_an_address_of_another_host_is_outside() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualEventLoop)
        datagrams = loop.outside.datagrams
        async with endpoint(local_addr=("0.0.0.0", 0)) as (transport, _):
            port = transport.get_extra_info("sockname")[1]
            assert datagrams.is_within_loop(("127.0.0.1", port))
            assert datagrams.is_within_loop(("localhost", port))
            assert datagrams.is_within_loop(("::ffff:127.0.0.1", port, 0, 0))
            assert not datagrams.is_within_loop(("192.0.2.1", port))
            assert not datagrams.is_within_loop(("printer", port))
            assert not datagrams.is_within_loop("/run/log")
            assert not datagrams.is_within_loop(("127.0.0.1", port + 1))
            assert not datagrams.is_within_loop(None)

    run_virtual(main)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs unix sockets")
def test_unix_datagrams(tmp_path: Any) -> None:
    path, silent = str(tmp_path / "in"), str(tmp_path / "out")

    async def main() -> None:
        clock = running_clock()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outside:
            outside.bind(silent)
            async with (
                endpoint(local_addr=path, family=socket.AF_UNIX) as (_, server),
                endpoint(remote_addr=path, family=socket.AF_UNIX) as (client, _),
                endpoint(remote_addr=silent, family=socket.AF_UNIX) as (log, _),
            ):
                client.sendto(b"1")
                assert await at_once(server.answers.get()) == b"1"
                await asyncio.sleep(60)
                assert held_by_datagrams(clock) == 0
                log.sendto(b"1")
                await asyncio.sleep(60)
                assert held_by_datagrams(clock) >= IMPATIENT.patience

    run_virtual(main, budgets=IMPATIENT)
