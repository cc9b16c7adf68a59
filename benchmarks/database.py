"""What a database of its own costs a test, in one process in which all ways take turns.

Run: python benchmarks/database.py [ROUNDS]

Milliseconds a test over the same work, medians, and the ratio to SQLAlchemy's recipe `create_savepoint`. All tests run
on one loop, which is what suits the others. The row `sandbox` is what the plugin does where each test has a loop of its
own: a connection of asyncpg is opened for each test. The row `sandbox, kept` is what it does where tests share a loop.
Ways that take longer get fewer tests.

The last table is what the sandbox adds to one statement, over the bare engine. PostgreSQL takes part where the
dependency group `postgres` is installed, or `UNO_TEST_PG_URL` names a server.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

from database_contenders import Contender, CreateAll, DeleteAll, Kept, Plugin, Recipe, Schema, Snapshot
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pytest_uno.database.sandbox.rollback import RollbackSandbox

SIZES = ((30, 1_000), (30, 100_000), (100, 1_000))
DRIVERS = ("asyncpg", "psycopg")
REFERENCE = "create_savepoint"
SHARED_MEMORY = Path("/dev/shm")
SLOW_EVERY = 20
MANY_ROWS = 50_000
STATEMENTS = 400
BLOCKS = 15

NewUrl = Callable[[], str]


def sqlite_contenders(schema: Schema, folder: Path) -> dict[str, Contender]:
    """Return the ways on SQLite, each with a file of its own."""
    numbers = iter(range(100))

    def url() -> str:
        return f"sqlite+aiosqlite:///{folder}/{schema.rows}-{next(numbers)}.db"

    return {
        "sandbox, memory": Plugin(schema, "sqlite+aiosqlite://"),
        "sandbox, file": Plugin(schema, url()),
        REFERENCE: Recipe(schema, url()),
        "snapshot": Snapshot(schema, url()),
        "delete all, reseed": DeleteAll(schema, url()),
        "create_all, memory": CreateAll(schema, url()),
    }


def postgres_contenders(schema: Schema, new_url: NewUrl) -> dict[str, Contender]:
    """Return the ways on PostgreSQL, each with a database of its own."""
    return {
        "sandbox": Plugin(schema, new_url()),
        "sandbox, kept": Kept(schema, new_url()),
        REFERENCE: Recipe(schema, new_url()),
        "snapshot": Snapshot(schema, new_url()),
        "delete all, reseed": DeleteAll(schema, new_url()),
        "create_all, drop_all": CreateAll(schema, new_url()),
    }


async def time_tests(contenders: Mapping[str, Contender], rounds: int, rows: int) -> dict[str, float]:
    """Run the ways in turns, and return the median milliseconds of a test."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    pause = SLOW_EVERY if rows < MANY_ROWS else 2 * SLOW_EVERY
    for contender in contenders.values():
        await contender.prepare()
    try:
        for turn in range(rounds):
            for name, contender in contenders.items():
                if contender.slow and turn % pause:
                    continue
                started = time.perf_counter()
                await contender.run_test()
                times[name].append(time.perf_counter() - started)
    finally:
        for contender in contenders.values():
            await contender.close()
    return {name: statistics.median(taken) * 1e3 for name, taken in times.items()}


def print_tests(title: str, make: Callable[[Schema], Mapping[str, Contender]], rounds: int) -> None:
    """Print the table of one kind of database."""
    columns = [asyncio.run(time_tests(make(Schema(tables, rows)), rounds, rows)) for tables, rows in SIZES]
    head = "".join(f"{f'{tables} tables, {rows} rows':>26}" for tables, rows in SIZES)
    print(f"\n{title + ': ms a test':32}{head}")
    for name in columns[0]:
        cells = "".join(
            f"{f'{times[name]:.2f}  x{times[name] / times[REFERENCE]:.2f}':>26}" for times in columns
        )
        print(f"{name:32}{cells}")


async def time_block(engine: AsyncEngine, statement: str) -> float:
    """Return the seconds of one statement of many, in one transaction."""
    parameters = {"name": "row"}
    clause = text(statement)
    async with engine.connect() as connection:
        await connection.execute(clause, parameters)
        started = time.perf_counter()
        await _repeat(connection, clause, parameters)
        seconds = time.perf_counter() - started
        await connection.rollback()
    return seconds / STATEMENTS


async def _repeat(connection: AsyncConnection, clause: object, parameters: dict[str, str]) -> None:
    for _ in range(STATEMENTS):
        await connection.execute(clause, parameters)  # type: ignore[call-overload]


async def time_statements(url: str) -> dict[str, tuple[float, float]]:
    """Return the seconds of a statement on the bare engine and in the sandbox, blocks taking turns."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE facade (name TEXT)"))
    found: dict[str, tuple[float, float]] = {}
    for kind, statement in {
        "SELECT": "SELECT name FROM facade WHERE name = :name",
        "INSERT": "INSERT INTO facade VALUES (:name)",
    }.items():
        times: tuple[list[float], list[float]] = ([], [])
        for turn in range(BLOCKS):
            for in_sandbox in (True, False) if turn % 2 else (False, True):
                if not in_sandbox:
                    times[0].append(await time_block(engine, statement))
                    continue
                sandbox = RollbackSandbox([engine], keep_connection=True)
                sandbox.start()
                try:
                    times[1].append(await time_block(engine, statement))
                finally:
                    await sandbox.stop()
        found[kind] = (statistics.median(times[0]), statistics.median(times[1]))
    await engine.dispose()
    return found


def print_statements(urls: Mapping[str, str]) -> None:
    """Print what the sandbox adds to a statement."""
    print(f"\n{'a statement: microseconds':32}{'bare engine':>14}{'sandbox':>14}{'more':>14}")
    for name, url in urls.items():
        for kind, (bare, wrapped) in asyncio.run(time_statements(url)).items():
            cells = f"{bare * 1e6:14.1f}{wrapped * 1e6:14.1f}{(wrapped - bare) * 1e6:14.1f}"
            print(f"{f'{name}, {kind}':32}{cells}")


@contextlib.contextmanager
def postgres_urls() -> Generator[Callable[[str], str] | None]:
    """Provide what makes an empty database for a driver and returns its URL; None where there is no server."""
    if importlib.util.find_spec("psycopg") is None or importlib.util.find_spec("asyncpg") is None:
        yield None
        return
    sys.path.append(str(Path(__file__).parents[1]))
    from tests.database.postgres_server import running_server

    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running_server())
        except RuntimeError as error:
            print(f"without PostgreSQL: {error}")
            yield None
            return

        def new_url(driver: str) -> str:
            return server.url(driver, stack.enter_context(server.fresh_database()))

        yield new_url


def main(rounds: int = 80) -> None:
    """Print the tables."""
    folder = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=folder) as name, postgres_urls() as new_url:
        print_tests("SQLite", functools.partial(sqlite_contenders, folder=Path(name)), rounds)
        urls = {"SQLite": f"sqlite+aiosqlite:///{name}/facade.db"}
        for driver in DRIVERS if new_url is not None else ():
            assert new_url is not None
            make_url = functools.partial(new_url, driver)
            make = functools.partial(postgres_contenders, new_url=make_url)
            print_tests(f"PostgreSQL, {driver}", make, rounds)
            urls[driver] = make_url()
        print_statements(urls)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
