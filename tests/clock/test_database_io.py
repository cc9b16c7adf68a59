"""SQL through aiosqlite and SQLAlchemy: the clock stands still while a query runs."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite
import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import await_only

from pytest_uno.clock.budgets import Budgets
from tests.clock.running import run_virtual
from tests.clock.tickers import PATIENT, at_once, running_clock, ticking

QUERIES = 100


@asynccontextmanager
async def database(directory: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{directory}/test.db")
    event.listen(engine.sync_engine, "connect", _do_without_the_disk)
    async with engine.begin() as connection:
        await connection.execute(text("create table if not exists item (number integer)"))
    try:
        yield engine
    finally:
        await engine.dispose()


def _do_without_the_disk(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("pragma synchronous = off")
    cursor.close()


async def insert_and_count(engine: AsyncEngine, number: int) -> int:
    async with engine.begin() as connection:
        await connection.execute(text("insert into item values (:number)"), {"number": number})
        return int((await connection.scalar(text("select count(*) from item"))) or 0)


def queries_beside_a_ticker(directory: Path) -> list[tuple[float, int, int]]:
    """Run queries with short virtual pauses in between: when each was done, its result, the ticks before."""
    directory.mkdir()

    async def main() -> list[tuple[float, int, int]]:
        loop = asyncio.get_running_loop()
        trace: list[tuple[float, int, int]] = []
        async with database(directory) as engine, ticking() as ticks:
            for number in range(QUERIES):
                count = await at_once(insert_and_count(engine, number))
                trace.append((loop.time(), count, len(ticks)))
                await asyncio.sleep(0.003)
        return trace

    trace, clock = run_virtual(main, budgets=PATIENT)
    assert clock.held > 0
    return trace


EXPECTED = [(round(number * 0.003, 9), number + 1, number * 3 // 10) for number in range(QUERIES)]


def test_queries_have_no_spurious_time_outs_and_the_same_trace_each_time(tmp_path: Path) -> None:
    assert queries_beside_a_ticker(tmp_path / "first") == EXPECTED
    assert queries_beside_a_ticker(tmp_path / "second") == EXPECTED


@pytest.fixture
def busy_processors() -> Iterator[None]:
    busy = [
        subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)
    ]
    yield
    for process in busy:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("busy_processors")
def test_queries_have_the_same_trace_while_every_processor_is_busy(tmp_path: Path) -> None:
    assert queries_beside_a_ticker(tmp_path / "busy") == EXPECTED


def test_plain_aiosqlite() -> None:
    async def main() -> list[int]:
        counts = []
        async with ticking():
            connection = await at_once(_connected(":memory:"))
            await at_once(connection.execute("create table item (number integer)"))
            for number in range(QUERIES):
                await at_once(connection.execute("insert into item values (?)", (number,)))
                async with connection.execute("select count(*) from item") as cursor:
                    row = await at_once(cursor.fetchone())
                assert row is not None
                counts.append(row[0])
                await asyncio.sleep(0.003)
            await at_once(connection.close())
        return counts

    counts, clock = run_virtual(main, budgets=PATIENT)
    assert counts == list(range(1, QUERIES + 1))
    assert clock.time() == round(QUERIES * 0.003, 9)


async def _connected(path: str, timeout: float = 5) -> aiosqlite.Connection:
    return await aiosqlite.connect(path, timeout=timeout, isolation_level=None)


def test_a_query_slower_than_the_virtual_time_limit() -> None:
    async def main() -> None:
        connection = await _connected(":memory:")
        await connection.create_function("slow", 0, lambda: time.sleep(0.1))
        async with ticking() as ticks:
            await at_once(connection.execute("select slow()"))
            assert ticks == []
        await connection.close()

    run_virtual(main, budgets=PATIENT)


def test_queries_of_several_tasks_at_once(tmp_path: Path) -> None:
    async def main() -> list[int]:
        async with database(tmp_path) as engine, ticking():
            return sorted(
                await at_once(asyncio.gather(*(insert_and_count(engine, number) for number in range(8))))
            )

    # Each task has a connection of its own, so that they wait for each other's locks in reality.
    assert run_virtual(main, budgets=PATIENT)[0] == list(range(1, 9))


# ------------------------------------------------------------------ greenlets


def test_run_sync_queries_through_greenlets(tmp_path: Path) -> None:
    def work(connection: Connection) -> int:
        for number in range(50):
            connection.execute(text("insert into item values (:number)"), {"number": number})
        return int(connection.scalar(text("select count(*) from item")) or 0)

    async def main() -> int:
        async with database(tmp_path) as engine, ticking(), engine.begin() as connection:
            return await at_once(connection.run_sync(work))

    assert run_virtual(main, budgets=PATIENT)[0] == 50


def test_a_sleep_within_run_sync_is_virtual(tmp_path: Path) -> None:
    def work(connection: Connection) -> int:
        connection.execute(text("insert into item values (1)"))
        await_only(asyncio.sleep(3600))
        return int(connection.scalar(text("select count(*) from item")) or 0)

    async def main() -> int:
        async with database(tmp_path) as engine, engine.begin() as connection:
            return await connection.run_sync(work)

    count, clock = run_virtual(main, budgets=PATIENT)
    assert count == 1
    assert clock.time() == 3600
    assert clock.held < PATIENT.patience


# ------------------------------------------------------------------ locks


def test_a_write_lock_held_over_a_virtual_sleep(tmp_path: Path) -> None:
    """The second writer waits in reality, so that time flows at real speed until the first has slept."""
    seen: list[str] = []

    async def write(name: str) -> None:
        connection = await _connected(str(tmp_path / "test.db"), timeout=30)
        await connection.execute("begin immediate")
        seen.append(f"{name} has it")
        await asyncio.sleep(0.1)
        seen.append(f"{name} gives it")
        await connection.execute("commit")
        await connection.close()

    async def main() -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(write("first"))
            await asyncio.sleep(0.05)
            group.create_task(write("second"))

    _, clock = run_virtual(main, budgets=Budgets(patience=0.05))
    assert seen == ["first has it", "first gives it", "second has it", "second gives it"]
    assert clock.time() >= 0.2  # the second began after the first had committed


def test_a_writer_that_retries_virtually_outlasts_the_lock(tmp_path: Path) -> None:
    seen: list[tuple[float, str]] = []

    async def first() -> None:
        connection = await _connected(str(tmp_path / "test.db"))
        await connection.execute("begin immediate")
        await asyncio.sleep(3600)
        await connection.execute("commit")
        await connection.close()

    async def second() -> None:
        connection = await _connected(str(tmp_path / "test.db"), timeout=0)
        while True:
            await asyncio.sleep(1000)
            now = asyncio.get_running_loop().time()
            try:
                await connection.execute("begin immediate")
            except sqlite3.OperationalError:
                seen.append((now, "locked"))
            else:
                seen.append((now, "got it"))
                break
        await connection.close()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(first())
            group.create_task(second())

    _, clock = run_virtual(main, budgets=PATIENT)
    assert seen == [(1000, "locked"), (2000, "locked"), (3000, "locked"), (4000, "got it")]
    assert clock.held < PATIENT.patience


# ------------------------------------------------------------------ what is idle


def test_idle_connections_and_open_transactions_hold_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        clock = running_clock()
        async with database(tmp_path) as engine:
            connections = [await engine.connect() for _ in range(3)]
            await connections[0].execute(text("insert into item values (1)"))
            for connection in connections[1:]:
                await connection.close()  # back into the pool, with its thread
            before = clock.held, clock.jumps
            for _ in range(24):
                await asyncio.sleep(3600)
            assert (clock.held, clock.jumps) == (before[0], before[1] + 24)
            await connections[0].close()

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 24 * 3600


def test_settle_waits_for_a_query_in_flight(tmp_path: Path) -> None:
    async def main() -> None:
        clock = running_clock()
        async with database(tmp_path) as engine, ticking() as ticks:
            query = asyncio.create_task(insert_and_count(engine, 1))
            await clock.settle()
            assert query.done()
            later = asyncio.create_task(insert_and_count_in_a_minute(engine))
            await clock.advance(60)
            assert later.result() == 2
            assert clock.time() == 60
            assert len(ticks) == 6000

    run_virtual(main, budgets=PATIENT)


async def insert_and_count_in_a_minute(engine: AsyncEngine) -> int:
    await asyncio.sleep(60)
    return await insert_and_count(engine, 2)


def test_the_longest_wait_is_told_to_be_the_databases() -> None:
    async def main() -> None:
        connection = await _connected(":memory:")
        await connection.create_function("slow", 0, lambda: time.sleep(0.05))
        await connection.execute("select slow()")
        await connection.close()

    _, clock = run_virtual(main, budgets=PATIENT)
    assert 0 < clock.held < PATIENT.patience
    longest = max(clock.held_by, key=lambda reason: clock.held_by[reason])
    assert "aiosqlite" in longest or "core.py" in longest


def test_the_isolation_level_is_set_while_the_clock_stands_still(tmp_path: Path) -> None:
    async def main() -> None:
        async with database(tmp_path) as engine:
            for _ in range(QUERIES):
                async with asyncio.timeout(0.001), engine.connect() as connection:
                    await connection.execution_options(isolation_level="AUTOCOMMIT")

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.elapsed == 0
