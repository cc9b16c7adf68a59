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
from collections.abc import Awaitable, Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import StaticPool

from pytest_uno import AsyncManager, TaskGroup, transaction

ROUNDS = 41
TASKS = 2_000
TRANSACTIONS = 50
IMPORTS = 11


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
    """Tasks of a manager and of asyncio."""
    async with AsyncManager() as manager:

        async def ours() -> None:
            for _ in range(TASKS):
                manager.create_task(do_nothing())
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        async def theirs() -> None:
            for _ in range(TASKS):
                asyncio.create_task(do_nothing())
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        return await compare(ours, theirs)


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
            [sys.executable, "-X", "importtime", "-c", "import asyncio, pytest_uno.core"],
            check=True,
            capture_output=True,
            encoding="utf-8",
            env=environment,
        ).stderr
        found = re.search(r"\|\s*(\d+) \|\s+pytest_uno$", report, re.MULTILINE)
        assert found is not None
        spent.append(int(found[1]) / 1000)
    return statistics.median(spent)


def main() -> None:
    """Print one line for each figure."""
    comparisons = [
        ("manager.create_task / asyncio.create_task", compare_tasks, 1.35),
        ("TaskGroup / asyncio.TaskGroup, 2,000 tasks", compare_groups, 1.25),
        ("transaction / session.begin()", compare_transactions, 1.15),
    ]
    for title, measure, most in comparisons:
        ours, theirs = asyncio.run(measure())
        print(f"{title:45} {ours / theirs:5.2f}  (at most {most})  {ours * 1e3:.2f} / {theirs * 1e3:.2f} ms")
    print(f"{'import pytest_uno.core, on top of asyncio':45} {measure_import():5.2f}  ms (at most 3)")


if __name__ == "__main__":
    main()
