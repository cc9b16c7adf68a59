"""Processes: what the test waits for is waited for in reality; one that idles holds for a moment only."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator

import pytest

from pytest_uno.clock.budgets import Budgets
from tests.clock.running import run_virtual
from tests.clock.tickers import PATIENT, at_once, running_clock, ticking

ECHO = "import sys, time\nfor line in sys.stdin:\n    time.sleep(0.02)\n    print(line, end='', flush=True)"


@contextlib.asynccontextmanager
async def started(program: str) -> AsyncGenerator[Process, None]:
    """Run a Python program that ends when its input does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-c", program, stdin=PIPE, stdout=PIPE
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        await process.wait()


def test_communicate_costs_no_virtual_time() -> None:
    async def main() -> None:
        async with ticking() as ticks:
            process = await at_once(
                asyncio.create_subprocess_exec(sys.executable, "-S", "-c", ECHO, stdin=PIPE, stdout=PIPE)
            )
            output, _ = await at_once(process.communicate(b"first\nsecond\n"))
            assert output == b"first\nsecond\n"
            assert process.returncode == 0
            assert ticks == []

    run_virtual(main, budgets=PATIENT)


def test_waiting_for_the_end_costs_no_virtual_time() -> None:
    async def main() -> None:
        async with ticking() as ticks:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-S", "-c", "import sys, time; time.sleep(0.05); sys.exit(3)"
            )
            assert await at_once(process.wait()) == 3
            assert ticks == []

    run_virtual(main, budgets=PATIENT)


def test_a_shell() -> None:
    async def main() -> None:
        async with ticking() as ticks:
            process = await asyncio.create_subprocess_shell("echo something", stdout=PIPE)
            output, _ = await at_once(process.communicate())
            assert output.strip() == b"something"
            assert ticks == []

    run_virtual(main, budgets=PATIENT)


def test_lines_that_are_asked_for_beside_a_ticker() -> None:
    async def main() -> None:
        async with started(ECHO) as process, ticking() as ticks:
            assert process.stdin is not None
            assert process.stdout is not None
            for number in range(10):
                process.stdin.write(b"line %d\n" % number)
                assert await at_once(process.stdout.readline()) == b"line %d\n" % number
                await asyncio.sleep(0.0345)
            assert len(ticks) == 34

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 0.345


def test_lines_that_a_background_task_reads() -> None:
    async def main() -> None:
        lines: asyncio.Queue[bytes] = asyncio.Queue()

        async def read(stream: asyncio.StreamReader) -> None:
            async for line in stream:
                lines.put_nowait(line)

        async with started(ECHO) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            reading = asyncio.create_task(read(process.stdout))
            async with ticking() as ticks:
                for number in range(3):
                    process.stdin.write(b"line %d\n" % number)
                    assert await at_once(lines.get()) == b"line %d\n" % number
                assert ticks == []
            process.stdin.close()
            await reading

    run_virtual(main, budgets=PATIENT)


def test_a_process_that_outlasts_its_time_limit_is_killed() -> None:
    async def main() -> float:
        async with started("input()") as process:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await process.wait()
            ended = asyncio.get_running_loop().time()
            process.kill()
            await process.wait()
            return ended

    impatient = Budgets(patience=0.05)
    ended, clock = run_virtual(main, budgets=impatient)
    assert ended == 0.1
    assert clock.held > impatient.patience


def test_an_idle_process_holds_for_a_moment_only() -> None:
    async def main() -> None:
        async with started(ECHO) as process:
            assert process.stdout is not None
            reading = asyncio.create_task(process.stdout.readline())
            waiting = asyncio.create_task(process.wait())
            clock = running_clock()
            before, jumps = clock.held, clock.jumps
            for _ in range(100):
                await asyncio.sleep(1)
            assert clock.jumps == jumps + 100
            assert clock.held - before < 100 * clock.budgets.quiet / 4  # once, not for each sleep
            assert not reading.done()
            reading.cancel()
            waiting.cancel()

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 100


# ------------------------------------------------------------------ everything that may idle


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer):
        while line := await reader.readline():
            writer.write(line)


def test_a_hundred_virtual_seconds_beside_everything_that_may_idle() -> None:
    """Twenty connections that are kept alive, a listener that waits for a message, a process."""

    async def main() -> None:
        clock = running_clock()
        async with (
            await asyncio.start_server(echo, "127.0.0.1", 0) as server,
            started(ECHO) as process,
            contextlib.AsyncExitStack() as stack,
        ):
            port = server.sockets[0].getsockname()[1]
            readers = []
            for _ in range(20):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                stack.callback(writer.close)
                writer.write(b"hello\n")
                assert await reader.readline() == b"hello\n"
                readers.append(reader)
            assert process.stdout is not None
            idle = [
                asyncio.create_task(readers[0].readline(), name="listener"),
                asyncio.create_task(process.stdout.readline(), name="output"),
                asyncio.create_task(process.wait(), name="process"),
            ]
            began, before, jumps = clock.time(), clock.held, clock.jumps
            for _ in range(100):
                await asyncio.sleep(1)
            assert clock.time() == began + 100
            assert clock.jumps == jumps + 100
            assert clock.held - before < 10 * clock.budgets.quiet
            for task in idle:
                assert not task.done()
                task.cancel()
            await asyncio.gather(*idle, return_exceptions=True)

    run_virtual(main, budgets=Budgets(patience=30.0, quiet=0.1, max_jumps=50_000))
