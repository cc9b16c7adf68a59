"""Who could still wake a loop without a timer: a deadlock is declared only after a last look at them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_uno import DeadlockError
from pytest_uno.clock import Budgets, VirtualEventLoop
from tests.clock.running import run_virtual
from tests.clock.virtual_test import WatchedSelector, the_clock

SHORT = Budgets(patience=0.02, quiet=0.01, deadlock_grace=0.01, deadlock_patience=0.02)
LONG = Budgets(patience=0.01, quiet=0.01, deadlock_grace=60, deadlock_patience=60)
LONG_FOR_OUTSIDERS = Budgets(patience=0.01, quiet=0.01, deadlock_grace=0, deadlock_patience=60)


def act_once_the_loop_waits(selector: WatchedSelector, act: Callable[[], object]) -> threading.Thread:
    def wait_and_act() -> None:
        assert selector.waits.wait(30)
        act()

    selector.waits.clear()
    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


# ------------------------------------------------------------------ deadlocks all the same


async def idle_connection(connected: contextlib.AsyncExitStack) -> list[asyncio.StreamReader]:
    """Listen, connect, and leave both ends alone."""
    readers: list[asyncio.StreamReader] = []
    accepted = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.callback(writer.close)
        readers.append(reader)
        accepted.set()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    connected.callback(server.close)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    connected.callback(writer.close)
    readers.append(reader)
    await accepted.wait()
    return readers


async def wait_for_a_connection() -> None:
    async with contextlib.AsyncExitStack() as connected:
        await idle_connection(connected)
        await asyncio.Event().wait()


async def read_what_nobody_writes() -> None:
    async with contextlib.AsyncExitStack() as connected:
        readers = await idle_connection(connected)
        await asyncio.gather(*(reader.readline() for reader in readers))


async def listen_to_a_signal() -> None:
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)


async def serve() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        await server.serve_forever()


@pytest.mark.parametrize(
    ("main", "text"),
    [
        (wait_for_a_connection, "event that is not set"),
        (read_what_nobody_writes, "stream: no data yet"),
        (serve, "server that serves forever"),
        (listen_to_a_signal, "event that is not set"),
    ],
)
def test_a_deadlock_next_to_what_is_idle(main: Callable[[], Any], text: str) -> None:
    with pytest.raises(DeadlockError, match=text):
        run_virtual(main, budgets=SHORT)


def test_a_deadlock_next_to_an_idle_thread() -> None:
    finish = threading.Event()
    thread = threading.Thread(target=finish.wait)

    async def main() -> None:
        thread.start()
        await asyncio.Event().wait()

    try:
        with pytest.raises(DeadlockError):
            run_virtual(main, budgets=SHORT)
    finally:
        finish.set()
        thread.join()


# ------------------------------------------------------------------ no deadlocks


def test_a_thread_calls_in_time() -> None:
    selector = WatchedSelector()

    async def main() -> None:
        event = asyncio.Event()
        loop = asyncio.get_running_loop()
        await asyncio.sleep(5)
        thread = act_once_the_loop_waits(selector, lambda: loop.call_soon_threadsafe(event.set))
        await event.wait()
        thread.join()
        assert the_clock().time() == 5

    run_virtual(main, selector=selector, budgets=LONG)


def test_a_thread_advances_a_paused_clock() -> None:
    selector = WatchedSelector()

    async def main() -> None:
        loop, clock = asyncio.get_running_loop(), the_clock()
        advanced = asyncio.Event()

        async def advance() -> None:
            await clock.advance(10)
            advanced.set()

        def call() -> None:
            asyncio.run_coroutine_threadsafe(advance(), loop).result(30)

        with clock.paused():
            thread = act_once_the_loop_waits(selector, call)
            await asyncio.sleep(10)
        await advanced.wait()
        assert clock.time() == 10
        # On a busy machine time may flow now: the thread has work to do, and is waited for.
        await asyncio.to_thread(thread.join)

    run_virtual(main, selector=selector, budgets=LONG)


def test_a_signal_comes() -> None:
    selector = WatchedSelector()

    async def main() -> None:
        thread = act_once_the_loop_waits(selector, lambda: os.kill(os.getpid(), signal.SIGUSR1))
        await listen_to_a_signal()
        thread.join()
        await asyncio.sleep(1)
        assert the_clock().time() == 1

    run_virtual(main, selector=selector, budgets=LONG_FOR_OUTSIDERS)


@pytest.fixture
def interruptible() -> Iterator[None]:
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit SIG_IGN
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("is_held", [False, True])
def test_an_interrupt_comes(is_held: bool) -> None:
    selector = WatchedSelector()
    log: list[str] = []
    threads: list[threading.Thread] = []

    async def main() -> None:
        with the_clock().hold() if is_held else contextlib.nullcontext():
            threads.append(act_once_the_loop_waits(selector, lambda: os.kill(os.getpid(), signal.SIGINT)))
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                log.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        run_virtual(main, selector=selector, budgets=LONG)
    assert log == ["cleaned up"]
    threads[0].join()


def test_a_client_comes() -> None:
    selector = WatchedSelector()
    replies: list[bytes] = []

    async def main() -> None:
        served = asyncio.Event()

        async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline()).upper())
            writer.close()
            await writer.wait_closed()
            served.set()

        server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()

        def call() -> None:
            with socket.create_connection(address, timeout=30) as connection:
                connection.sendall(b"hello\n")
                replies.append(connection.recv(100))

        thread = act_once_the_loop_waits(selector, call)
        await served.wait()
        server.close()
        thread.join()

    run_virtual(main, selector=selector, budgets=LONG_FOR_OUTSIDERS)
    assert replies == [b"HELLO\n"]


def test_a_loop_that_runs_for_ever_is_driven_from_outside() -> None:
    selector = WatchedSelector()
    loop = VirtualEventLoop(selector, budgets=Budgets(deadlock_grace=0, deadlock_patience=0, stall=0.001))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:

        async def nap() -> float:
            await asyncio.sleep(3600)
            return loop.time()

        for hour in range(1, 4):
            assert selector.waits.wait(30)
            selector.waits.clear()
            assert asyncio.run_coroutine_threadsafe(nap(), loop).result(30) == hour * 3600
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_an_endless_ticker_of_a_loop_that_runs_for_ever_is_limited() -> None:
    with contextlib.closing(VirtualEventLoop(budgets=Budgets(max_jumps=100))) as loop:

        def tick() -> None:
            loop.call_later(1, tick)

        tick()
        with pytest.raises(Exception, match="jumped 100 times"):
            loop.run_forever()
        assert loop.time() == 100
