from __future__ import annotations

import asyncio
import functools
import inspect
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import LineOf, Test, listed_with, nothing

LEAKY: list[Any] = []
CLEAN: list[Any] = []
PAIR: list[socket.socket] = []
KEPT: list[Any] = []

leaks = listed_with(LEAKY)
clean = listed_with(CLEAN)

on_both_loops = pytest.mark.parametrize("bench", [asyncio.SelectorEventLoop, VirtualEventLoop], indirect=True)
unix_only = pytest.mark.skipif(sys.platform == "win32", reason="the loops of Windows take no signal handlers")


@pytest.fixture(autouse=True)
def pair() -> Iterator[None]:
    a, b = socket.socketpair()
    with a, b:
        a.setblocking(False)
        b.setblocking(False)
        PAIR[:] = [a, b]
        yield
    KEPT.clear()


def ready() -> None: ...


class Bell:
    def __init__(self) -> None:
        asyncio.get_running_loop().add_reader(PAIR[0], self.ring)

    def ring(self) -> None: ...


@leaks("reader that calls ready() was not removed")
async def reader() -> None:
    asyncio.get_running_loop().add_reader(PAIR[0], ready)  # LEAK


@leaks("writer that calls ready() was not removed")
async def writer_by_number() -> None:
    asyncio.get_running_loop().add_writer(PAIR[0].fileno(), functools.partial(ready))  # LEAK


@leaks("reader that calls ready() was not removed")
async def reader_whose_writer_was_removed() -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(PAIR[0], ready)  # LEAK
    loop.add_writer(PAIR[0], print)
    loop.remove_writer(PAIR[0])


@leaks("reader that calls ready() was not removed")
async def reader_in_a_task() -> None:
    async def job() -> None:
        asyncio.get_running_loop().add_reader(PAIR[0], ready)  # LEAK

    await asyncio.create_task(job())


@leaks("reader that calls ready() was not removed")
async def reader_that_was_replaced() -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(PAIR[0], print)
    loop.add_reader(PAIR[0], ready)  # LEAK


@leaks("reader that calls ready() was not removed")
async def reader_of_a_closed_descriptor() -> None:
    a, b = socket.socketpair()
    asyncio.get_running_loop().add_reader(a, ready)  # LEAK
    a.close()
    b.close()


@leaks("reader that calls ready() was not removed")
async def reader_by_a_helper_thread() -> None:
    loop = asyncio.get_running_loop()

    def register() -> None:
        loop.add_reader(PAIR[0], ready)  # LEAK

    await asyncio.to_thread(loop.call_soon_threadsafe, register)
    await asyncio.sleep(0)


@leaks("handler of SIGUSR1 that calls ready() was not removed", unix_only)
async def signal_handler() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, ready)  # LEAK


@leaks("handler of SIGUSR1 that calls ready() was not removed", unix_only)
async def signal_handler_by_number() -> None:
    asyncio.get_running_loop().add_signal_handler(int(signal.SIGUSR1), ready)  # LEAK


@clean()
async def removed() -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(PAIR[0], ready)
    loop.add_writer(PAIR[0], ready)
    loop.remove_reader(PAIR[0])
    loop.remove_writer(PAIR[0])


@clean()
async def removed_within_some_turns() -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(PAIR[0], ready)
    loop.call_soon(loop.call_soon, loop.remove_reader, PAIR[0])


@clean()
async def removed_by_a_cancelled_task() -> None:
    async def job() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(PAIR[0], ready)
        try:
            await asyncio.sleep(60)
        finally:
            loop.remove_reader(PAIR[0])

    task = asyncio.create_task(job())
    await asyncio.sleep(0)
    task.cancel()


@clean()
async def streams_and_socket_calls() -> None:
    loop = asyncio.get_running_loop()
    _, writer = await asyncio.open_connection(sock=PAIR[0])
    await loop.sock_sendall(PAIR[1], b"x")
    writer.write(b"y")
    assert await loop.sock_recv(PAIR[1], 1) == b"y"
    writer.close()
    await writer.wait_closed()


@clean()
async def a_number_that_is_anothers_now() -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(PAIR[0], ready)
    loop.remove_reader(PAIR[0])
    _, writer = await asyncio.open_connection(sock=PAIR[0])
    writer.close()


@clean(unix_only)
async def signal_handler_removed() -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, ready)
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.remove_signal_handler(signal.SIGUSR1)


@clean()
async def of_a_loop_in_a_helper_thread() -> None:
    async def job() -> None:
        asyncio.get_running_loop().add_reader(PAIR[0], ready)

    await asyncio.to_thread(asyncio.run, job())


@on_both_loops
@pytest.mark.parametrize(("test", "subject"), LEAKY)
def test_a_leak_is_reported_once(bench: Any, test: Test, subject: str, line_of: LineOf) -> None:
    (finding,) = bench.run_test(test, loop_ends=False)
    assert (finding.rule, finding.subject) == ("UNO204", subject)
    assert finding.target == "ready"
    assert finding.created[0].line == line_of(test, "# LEAK")
    assert bench.run_test(nothing) == []


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    assert bench.run_test(test) == []
    assert bench.unhandled == []


@on_both_loops
def test_what_is_reported_is_removed(bench: Any) -> None:
    before = dict(bench.loop._selector.get_map())

    async def test() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(PAIR[0], ready)
        loop.add_writer(PAIR[0], ready)

    assert len(bench.run_test(test, loop_ends=False)) == 2
    assert dict(bench.loop._selector.get_map()) == before


@unix_only
def test_a_signal_handler_that_is_reported_is_removed(bench: Any) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    assert len(bench.run_test(signal_handler, loop_ends=False)) == 1
    assert signal.getsignal(signal.SIGUSR1) == before


def test_the_reader_of_a_pending_task_is_a_part_of_it(bench: Any) -> None:
    async def wait_for_descriptor() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.add_reader(PAIR[0], lambda: future.set_result(None))
        try:
            await future
        finally:
            loop.remove_reader(PAIR[0])

    async def test() -> None:
        KEPT.append(asyncio.create_task(wait_for_descriptor()))
        await asyncio.sleep(0)

    assert [finding.rule for finding in bench.run_test(test, loop_ends=False)] == ["UNO101"]
    assert bench.run_test(nothing) == []


def test_a_reader_of_an_object_that_a_wider_fixture_holds_is_the_fixtures(bench: Any) -> None:
    hub: list[Bell] = []
    fixture = Owner("fixture", "hub", "session")
    bench.detection.retain(fixture, hub)

    async def test() -> None:
        hub.append(Bell())

    assert bench.run_test(test, loop_ends=False) == []
    assert bench.run_test(nothing, loop_ends=False) == []
    fixture.ended = True
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert (finding.rule, finding.owner.name) == ("UNO204", "hub")


def test_a_reader_on_a_descriptor_of_a_wider_fixture_is_the_tests(bench: Any) -> None:
    bench.detection.retain(Owner("fixture", "pair", "module"), PAIR)
    (finding,) = bench.run_test(reader, loop_ends=False)
    assert finding.owner.name == "reader"


def test_a_reader_of_a_wider_fixture_goes_on(bench: Any) -> None:
    fixture = Owner("fixture", "hub", "module")
    bench.run_as(fixture, reader)
    assert bench.run_test(nothing, loop_ends=False) == []
    fixture.ended = True
    (finding,) = bench.run_test(nothing, loop_ends=False)
    assert (finding.rule, finding.owner.name) == ("UNO204", "hub")


@pytest.mark.parametrize("name", ["add_reader", "add_writer", "add_signal_handler"])
def test_a_patched_method_looks_as_before(bench: Any, name: str) -> None:
    def shape() -> tuple[Any, ...]:
        method = getattr(asyncio.SelectorEventLoop, name)
        return method.__name__, method.__doc__, inspect.signature(method)

    patched = shape()
    bench.detection.remove()
    assert patched == shape()


def test_registrations_that_are_gone_are_forgotten(bench: Any) -> None:
    (detector,) = [each for each in bench.detection._further if type(each).__name__ == "Registrations"]

    async def test() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(1100):
            loop.add_reader(PAIR[0], ready)
            loop.remove_reader(PAIR[0])

    bench.run_as(Owner("test", "test_x"), test)
    assert len(detector._known) < 1100
    assert bench.run_test(nothing) == []
    assert detector._known == []


def test_what_nobody_has_registered_is_not_noted(bench: Any) -> None:
    (detector,) = [each for each in bench.detection._further if type(each).__name__ == "Registrations"]
    bench.run_as(None, reader)
    assert detector._known == []


class Elsewhere(asyncio.SelectorEventLoop):
    def _add_reader(self, fd: Any, callback: Any, *args: Any) -> None: ...


@pytest.mark.parametrize("bench", [Elsewhere], indirect=True)
def test_what_a_loop_watches_by_other_means_is_its_own_affair(bench: Any) -> None:
    assert bench.run_test(reader) == []
    assert bench.unhandled == []
