"""What the core primitives cost, as ratios over what they stand on; run it as a script.

The two sides of a ratio run in turns in one process, so that a busy machine slows both; medians are compared.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import StaticPool

from pytest_uno import AsyncManager, TaskGroup, transaction

ROUNDS = 41
TASKS = 2_000
TRANSACTIONS = 50
IMPORTS = 11
NAMES = "AsyncManager, AsyncResource, TaskGroup, retry, run_application, timeout"


async def do_nothing() -> None:
    """Be the cheapest task there is."""


async def compare(
    ours: Callable[[], Awaitable[None]], theirs: Callable[[], Awaitable[None]]
) -> tuple[float, float]:
    """Return the median seconds of both, from interleaved rounds."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS):
        sides = [(ours, times[0]), (theirs, times[1])]
        for function, spent in sides if number % 2 else reversed(sides):
            started = time.perf_counter()
            await function()
            spent.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


async def compare_tasks() -> tuple[float, float]:
    """Creating tasks with a manager and with asyncio; the tasks run outside of the measured time."""
    async with AsyncManager() as manager:
        return await compare_creation(manager.create_task, asyncio.create_task)


async def compare_kept_tasks() -> tuple[float, float]:
    """What asyncio's documentation recommends: a set that holds each task until it is done."""
    running: set[asyncio.Task[None]] = set()

    def create_kept_task(coro: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coro)
        running.add(task)
        task.add_done_callback(running.discard)

    return await compare_creation(create_kept_task, asyncio.create_task)


async def compare_creation(
    ours: Callable[[Coroutine[Any, Any, None]], object], theirs: Callable[[Coroutine[Any, Any, None]], object]
) -> tuple[float, float]:
    """Return the median seconds that each takes to create tasks, from interleaved rounds."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS):
        sides = [(ours, times[0]), (theirs, times[1])]
        for create, spent in sides if number % 2 else reversed(sides):
            started = time.perf_counter()
            for _ in range(TASKS):
                create(do_nothing())
            spent.append(time.perf_counter() - started)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    return statistics.median(times[0]), statistics.median(times[1])


async def compare_groups() -> tuple[float, float]:
    """Task groups of ours and of asyncio."""

    async def ours() -> None:
        async with TaskGroup() as group:
            for _ in range(TASKS):
                group.create_task(do_nothing())

    async def theirs() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(TASKS):
                group.create_task(do_nothing())

    return await compare(ours, theirs)


async def compare_transactions() -> tuple[float, float]:
    """Transactions of ours and of SQLAlchemy, each with one INSERT."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE t (x INTEGER)"))
    insert = text("INSERT INTO t VALUES (1)")
    async with AsyncSession(engine) as session:

        async def ours() -> None:
            for _ in range(TRANSACTIONS):
                async with transaction(session):
                    await session.execute(insert)

        async def theirs() -> None:
            for _ in range(TRANSACTIONS):
                async with session.begin():
                    await session.execute(insert)

        medians = await compare(ours, theirs)
    await engine.dispose()
    return medians


def measure_import() -> float:
    """Return the median milliseconds that importing the core takes on top of asyncio."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    spent: list[float] = []
    for _ in range(IMPORTS):
        report = subprocess.run(
            [
                sys.executable,
                "-X",
                "importtime",
                "-c",
                f"import asyncio; from pytest_uno.core import {NAMES}",
            ],
            check=True,
            capture_output=True,
            encoding="utf-8",
            env=environment,
        ).stderr
        found = re.findall(r"^import time:\s*(\d+) \|\s*\d+ \|\s+pytest_uno", report, re.MULTILINE)
        spent.append(sum(map(int, found)) / 1000)
    return statistics.median(spent)


def main() -> None:
    """Print one line for each figure."""
    comparisons = [
        ("manager.create_task / asyncio.create_task", compare_tasks, 1.35),
        ("the strong-reference recipe / asyncio.create_task", compare_kept_tasks, None),
        ("TaskGroup / asyncio.TaskGroup, 2,000 tasks", compare_groups, 1.25),
        ("transaction / session.begin()", compare_transactions, 1.15),
    ]
    for title, measure, most in comparisons:
        ours, theirs = asyncio.run(measure())
        limit = "" if most is None else f"(at most {most})"
        print(f"{title:50} {ours / theirs:5.2f}  {limit:14}  {ours * 1e3:.2f} / {theirs * 1e3:.2f} ms")
    title = "import of the core's names, on top of asyncio"
    print(f"{title:50} {measure_import():5.2f}  (at most 3 ms)")


if __name__ == "__main__":
    main()
