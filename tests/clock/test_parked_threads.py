"""Threads that wait for something: they hold the clock for a moment only."""

from __future__ import annotations

import asyncio
import queue
import selectors
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pytest_uno.clock.budgets import Budgets
from pytest_uno.clock.parked_threads import Doing, what_it_does
from pytest_uno.clock.real_time import monotonic
from tests.clock.running import run_virtual
from tests.clock.running_threads import running_thread
from tests.clock.tickers import PATIENT

Parked = tuple[Callable[[], object], Callable[[], object]]


def waits_for_an_event() -> Parked:
    event = threading.Event()
    return event.wait, event.set


def waits_for_a_condition() -> Parked:
    condition = threading.Condition()

    def wait() -> None:
        with condition:
            condition.wait()

    def wake() -> None:
        with condition:
            condition.notify_all()

    return wait, wake


def waits_for_a_queue() -> Parked:
    items: queue.Queue[None] = queue.Queue()
    return items.get, lambda: items.put(None)


def waits_for_a_thread() -> Parked:
    event = threading.Event()
    other = threading.Thread(target=event.wait)
    other.start()
    return other.join, event.set


def waits_for_a_selector() -> Parked:
    ours, its = socket.socketpair()
    selector = selectors.DefaultSelector()
    selector.register(its, selectors.EVENT_READ)

    def wait() -> None:
        with ours, its, selector:
            selector.select()

    return wait, lambda: ours.send(b"x")


def accepts() -> Parked:
    listener = socket.create_server(("127.0.0.1", 0))

    def wait() -> None:
        with listener, listener.accept()[0]:
            pass

    return wait, lambda: socket.create_connection(listener.getsockname()[:2]).close()


def serves() -> Parked:
    server = socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)

    def wait() -> None:
        with server:
            server.serve_forever(poll_interval=0.01)

    return wait, server.shutdown


@pytest.mark.parametrize(
    "parked",
    [
        *(waits_for_an_event, waits_for_a_condition, waits_for_a_queue, waits_for_a_thread),
        *(waits_for_a_selector, accepts, serves),
    ],
)
def test_parked_threads_hold_for_a_moment_only(parked: Callable[[], Parked]) -> None:
    async def main() -> None:
        wait, wake = parked()
        with running_thread(wait):
            try:
                for _ in range(24):
                    await asyncio.sleep(3600)
            finally:
                wake()

    _, clock = run_virtual(main, budgets=Budgets(patience=5.0, quiet=0.01))
    assert clock.time() == 24 * 3600
    assert clock.held < 5.0


def test_a_thread_of_an_earlier_time_holds_nothing() -> None:
    wait, wake = waits_for_a_queue()
    with running_thread(wait):
        _, clock = run_virtual(lambda: asyncio.sleep(3600), budgets=PATIENT)
        wake()
    assert clock.time() == 3600
    assert clock.held == 0


def test_a_thread_that_waits_for_a_virtual_minute() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        finished = asyncio.Event()

        def work() -> None:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(60), loop).result(30)
            loop.call_soon_threadsafe(finished.set)

        async with asyncio.timeout(100):
            with running_thread(work):
                await finished.wait()
        assert loop.time() == 60

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.held < PATIENT.patience


def test_a_thread_that_joins_another_is_parked_until_that_has_ended() -> None:
    release = threading.Event()
    joined = threading.Thread(target=release.wait)
    joining = threading.Thread(target=joined.join)
    joined.start()
    joining.start()

    def look() -> Doing:
        assert joining.ident is not None
        return what_it_does(sys._current_frames()[joining.ident], patience=1)

    end = monotonic() + 30
    while look() is not Doing.PARKED and monotonic() < end:
        pass  # it is on its way
    seen = look()
    release.set()
    joining.join()
    assert seen is Doing.PARKED


@pytest.mark.parametrize("module", ["threading", "queue", "concurrent.futures._base"])
def test_a_thread_on_its_way_into_a_wait_works(module: str) -> None:
    names: dict[str, Any] = {"__name__": module, "sys": sys}
    exec("def join(): return sys._getframe()", names)
    assert what_it_does(names["join"](), patience=1) is Doing.WORK
