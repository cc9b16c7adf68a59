"""What a schedule has left ends before the next one begins, and costs little where it does not want to end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pytest_uno.clock.virtual_loop import VirtualEventLoop
from pytest_uno.explore import explore
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
