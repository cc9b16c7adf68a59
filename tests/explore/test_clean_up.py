"""What a schedule has left ends before the next one begins, and costs little where it does not want to end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
import warnings
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pytest_uno.clock.virtual_loop import VirtualEventLoop
from pytest_uno.explore import clean_up, explore
from pytest_uno.explore.clean_up import CLEAN_UP_ROUNDS

_MORE = 20 * CLEAN_UP_ROUNDS
"""Rounds after which a run is broken off: it would take minutes of real time."""


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return where the rounds of all loops are counted."""
    counted = [0]
    run_once: Callable[[VirtualEventLoop], None] = VirtualEventLoop._run_once  # type: ignore[attr-defined]

    def count(loop: VirtualEventLoop) -> None:
        counted[0] += 1
        if counted[0] > _MORE:
            loop.stop()
        run_once(loop)

    monkeypatch.setattr(VirtualEventLoop, "_run_once", count)
    return counted


async def waits_for_an_event() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def sleeps() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)


async def spins() -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(1)
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)


@pytest.mark.parametrize("leftover", [waits_for_an_event, sleeps, spins])
def test_stubborn_task_is_given_up(
    leftover: Callable[[], Coroutine[Any, Any, None]], rounds: list[int]
) -> None:
    kept: list[asyncio.Task[None]] = []

    async def scenario() -> None:
        kept.append(asyncio.create_task(leftover()))
        await asyncio.gather(asyncio.sleep(0.1), asyncio.sleep(0.2))

    report = explore(scenario, schedules=3)
    assert (report.failure, report.runs) == (None, 3)
    assert rounds[0] < 6 * CLEAN_UP_ROUNDS


def test_patient_clean_up_comes_to_its_end() -> None:
    ended: list[str] = []

    async def leftover() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1800)
            await asyncio.get_running_loop().run_in_executor(None, ended.append, "thread")
            for _ in range(100):
                await asyncio.sleep(0)
            ended.append("all")

    kept: list[asyncio.Task[None]] = []

    async def scenario() -> None:
        kept.append(asyncio.create_task(leftover()))
        await asyncio.sleep(0.1)

    assert explore(scenario, schedules=1).runs == 1
    assert ended == ["thread", "all"]


def test_a_failed_schedule_leaves_no_connection_that_came_late() -> None:
    """The server accepts it while the clean-up runs; nobody has begun to serve it."""
    clients: list[socket.socket] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def program() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        waiting = asyncio.create_task(asyncio.Event().wait())
        await asyncio.sleep(0)
        clients.append(socket.create_connection(server.sockets[0].getsockname()))
        assert waiting.done()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert explore(program, schedules=1).failure is not None
        gc.collect()
    assert clients
    for client in clients:
        assert client.recv(1) == b""  # the other end is closed
        client.close()
    assert [str(one.message) for one in caught if "unclosed transport" in str(one.message)] == []


def test_tasks_that_begin_in_the_clean_up_are_cancelled_as_well() -> None:
    ended: list[str] = []
    kept: list[asyncio.Task[None]] = []

    async def follow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("follower")

    async def leave() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            kept.append(asyncio.create_task(follow()))
            await asyncio.sleep(0)
            ended.append("leftover")

    async def scenario() -> None:
        kept.append(asyncio.create_task(leave()))
        await asyncio.sleep(0.1)

    assert explore(scenario, schedules=1).runs == 1
    assert ended == ["leftover", "follower"]


@pytest.fixture
def shutdowns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return where the ends of executors are noted, asyncio's own, which begin one more thread, and those at once."""
    noted: list[str] = []
    shut_down: Any = VirtualEventLoop.shutdown_default_executor
    end = ThreadPoolExecutor.shutdown

    async def note(loop: VirtualEventLoop) -> None:
        noted.append("asyncio's")
        await shut_down(loop)

    def note_end(executor: ThreadPoolExecutor, wait: bool = True) -> None:
        if not wait:
            noted.append("at once")
        end(executor, wait=wait)

    monkeypatch.setattr(VirtualEventLoop, "shutdown_default_executor", note)
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", note_end)
    return noted


def pool_threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("asyncio_")]


def test_threads_that_rest_end_at_once(shutdowns: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean_up, "_LOOKS", 100_000)  # however busy the machine is

    async def scenario() -> None:
        for _ in range(2):
            await asyncio.to_thread(int)

    before = pool_threads()
    report = explore(scenario, schedules=3)
    assert report.failure is None
    assert set(shutdowns) == {"at once"}
    assert pool_threads() == before


def test_a_thread_that_needs_the_loop_to_end_gets_it(shutdowns: list[str]) -> None:
    async def answer() -> str:
        await asyncio.sleep(0)
        return "answer"

    def ask(loop: asyncio.AbstractEventLoop) -> None:
        asking.set()
        may_ask.wait(10)
        answers.append(asyncio.run_coroutine_threadsafe(answer(), loop).result(10))

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, ask, loop)
        asking.wait(10)
        loop.call_soon(may_ask.set)

    asking, may_ask = threading.Event(), threading.Event()
    answers: list[str] = []
    before = pool_threads()
    assert explore(scenario, schedules=0).failure is None
    assert answers == ["answer"]
    assert shutdowns[0] == "asyncio's"
    assert pool_threads() == before


class OtherPool(ThreadPoolExecutor):
    """Not one of asyncio's own kind: its end is whatever it makes of it."""


def test_pools_of_another_kind_end_as_in_asyncio(shutdowns: list[str]) -> None:
    async def scenario() -> None:
        asyncio.get_running_loop().set_default_executor(OtherPool(1))
        await asyncio.to_thread(int)

    assert explore(scenario, schedules=0).failure is None
    assert shutdowns[0] == "asyncio's"


def test_a_thread_that_does_not_end_in_time_is_waited_for_with_the_loop_running(
    shutdowns: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread of the user's may give a pool work in just that moment."""
    monkeypatch.setattr(clean_up, "all_rest", lambda threads: True)
    monkeypatch.setattr(clean_up, "_ENDING", 0.01)

    def work() -> None:
        working.set()
        may_end.wait(10)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, work)
        working.wait(10)
        asyncio.create_task(end())

    async def end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            timer.start()

    working, may_end = threading.Event(), threading.Event()
    timer = threading.Timer(0.05, may_end.set)
    assert explore(scenario, schedules=0).failure is None
    assert shutdowns[:2] == ["at once", "asyncio's"]


def test_a_pool_at_work_has_not_come_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean_up, "_LOOKS", 1)
    may_end = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(may_end.wait, 30)
        assert not clean_up._come_to_rest(list(pool._threads))
        may_end.set()
        assert job.result()
