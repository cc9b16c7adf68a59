"""Sockets that a program reads or closes itself while the loop has them."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket

import pytest

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.clock.budgets import Budgets
from tests.clock.running import run_virtual

BRIEFLY = Budgets(patience=0.05, quiet=0.01)


@pytest.mark.parametrize("is_unix", [False, True], ids=["tcp", "unix"])
def test_bytes_that_are_read_past_the_transport_hold_for_the_patience(is_unix: bool) -> None:
    """They look like bytes that are still under way."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            if is_unix:
                ours, its = map(stack.enter_context, socket.socketpair())
            else:
                listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                ours = stack.enter_context(socket.create_connection(listener.getsockname()))
                its = stack.enter_context(listener.accept()[0])
            sender, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            receiver, _ = await loop.create_connection(asyncio.Protocol, sock=its)
            sender.write(b"x")
            select.select([its], [], [], 30)
            assert its.recv(10) == b"x"
            await asyncio.sleep(60)
            sender.close()
            receiver.close()
            await asyncio.sleep(0)

    _, clock = run_virtual(main, budgets=BRIEFLY)
    assert clock.time() == 60
    assert sum(held for label, held in clock.held_by.items() if "in flight" in label) >= BRIEFLY.patience


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs unix sockets")
def test_sockets_that_somebody_closed_are_outside() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            client = stack.enter_context(socket.create_connection(listener.getsockname()))
            stack.enter_context(listener.accept()[0])
            client.setblocking(False)
            local, _ = map(stack.enter_context, socket.socketpair())
            local.setblocking(False)
            waiting = [asyncio.create_task(loop.sock_recv(sock, 1)) for sock in (client, local)]
            await asyncio.sleep(0)
            assert isinstance(loop, VirtualEventLoop)
            connections = loop.outside.connections
            assert connections.is_socket_within_process(local)
            local.close()
            assert not connections.is_socket_within_process(local)
            assert not connections.is_socket_within_process(client)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)

    run_virtual(main, budgets=BRIEFLY)
