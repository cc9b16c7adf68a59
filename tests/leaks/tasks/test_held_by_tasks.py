from __future__ import annotations

import asyncio
import socket
from typing import Any

from pytest_uno.leaks.owners import Owner


async def hold(held: list[socket.socket]) -> None:
    with socket.socket() as sock:
        held.append(sock)
        await asyncio.get_running_loop().create_future()


def test_the_socket_of_a_task_that_a_wider_fixture_keeps_stays_open(bench: Any) -> None:
    fixture = Owner("fixture", "hub", "module")
    tasks: list[asyncio.Task[None]] = []
    held: list[socket.socket] = []
    bench.detection.retain(fixture, tasks)

    async def test() -> None:
        tasks.append(asyncio.create_task(hold(held)))
        await asyncio.sleep(0)

    assert bench.run_test(test, loop_ends=False) == []
    assert held[0].fileno() >= 0

    async def nothing() -> None: ...

    assert bench.run_test(nothing, loop_ends=False) == []
    assert held[0].fileno() >= 0
    fixture.ended = True
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert (finding.rule, finding.owner.name) == ("UNO101", "hub")
    assert held[0].fileno() < 0
