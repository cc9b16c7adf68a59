"""Processes with a protocol of their own, whose end sets an event: no future tells who waits for them."""

from __future__ import annotations

import asyncio
import sys

import pytest

from pytest_uno.clock.budgets import Budgets
from tests.clock.running import run_virtual
from tests.clock.tickers import PATIENT, at_once, running_clock


class Exit(asyncio.SubprocessProtocol):
    """Sets an event when the process ends."""

    def __init__(self) -> None:
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        self.exited.set()


async def start(program: str) -> tuple[asyncio.SubprocessTransport, Exit]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.subprocess_exec(
        Exit, sys.executable, "-S", "-c", program, stdin=asyncio.subprocess.PIPE, stdout=None, stderr=None
    )
    return transport, protocol


def test_its_end_comes_before_a_time_out() -> None:
    async def main() -> None:
        transport, protocol = await start("import time; time.sleep(0.05)")
        async with asyncio.timeout(5):
            await at_once(protocol.exited.wait())
        assert transport.get_returncode() == 0
        transport.close()

    run_virtual(main, budgets=PATIENT)


def test_one_that_outlasts_the_time_out_is_not_waited_for() -> None:
    async def main() -> float:
        transport, protocol = await start("input()")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await protocol.exited.wait()
        ended = asyncio.get_running_loop().time()
        transport.kill()
        await protocol.exited.wait()
        transport.close()
        return ended

    ended, clock = run_virtual(main, budgets=Budgets(patience=0.05))
    assert ended == 0.1
    assert clock.held > 0.05


def test_an_idle_one_holds_for_a_moment_only() -> None:
    async def main() -> None:
        transport, protocol = await start("input()")
        clock = running_clock()
        before, jumps = clock.held, clock.jumps
        for _ in range(100):
            await asyncio.sleep(1)
        assert clock.jumps == jumps + 100
        assert clock.held - before < 100 * clock.budgets.quiet / 4  # once, not for each sleep
        transport.kill()
        await protocol.exited.wait()
        transport.close()

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 100


def test_one_that_has_ended_holds_no_more() -> None:
    async def main() -> None:
        transport, protocol = await start("pass")
        await protocol.exited.wait()
        transport.close()
        waiting = asyncio.Event()
        asyncio.get_running_loop().call_later(60, waiting.set)
        before = running_clock().held
        await waiting.wait()
        assert running_clock().held == before

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() >= 60
