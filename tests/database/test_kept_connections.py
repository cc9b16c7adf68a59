"""Which connections stay open from test to test."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from pytest_uno.database.records import SandboxEnd
from pytest_uno.database.run_databases import RunDatabases
from tests.database.databases import Database
from tests.database.running import LOOPS, LoopFactory

Body = Callable[[AsyncEngine], Awaitable[Any]]


class Suite:
    """Runs tests as the plugin does, on loops of their own or on a wider one."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch, loop: LoopFactory) -> None:
        app = types.ModuleType("kept_app")
        app.engine = database.absent_engine()  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "kept_app", app)
        self._loop = loop
        self.databases = RunDatabases(
            database.settings(
                engine_specs=("kept_app:engine",),
                metadata="tests.database.shop_schema:metadata",
                seed="tests.database.shop_schema:seed",
            )
        )

    def wider_loop(self) -> asyncio.Runner:
        return asyncio.Runner(loop_factory=self._loop)

    def end_wider_loop(self, runner: asyncio.Runner) -> None:
        runner.run(self.databases.leave_loop())
        runner.close()

    def run(self, body: Body, wider: asyncio.Runner | None = None) -> tuple[Any, SandboxEnd]:
        """Run one test; return its result, and what its end has shown."""
        runner = self.wider_loop() if wider is None else wider
        uno_db = self.databases.begin_test(
            mode="rollback",
            conflict="error",
            wait=2,
            clock=None,
            wider_loop=None if wider is None else runner.get_loop(),
        )

        async def test() -> tuple[Any, SandboxEnd]:
            try:
                return await body(uno_db.engine), SandboxEnd(None)
            finally:
                ends.append(await self.databases.end_test())

        ends: list[SandboxEnd] = []
        try:
            result, _ = runner.run(test())
        finally:
            if wider is None:
                runner.close()
        return result, ends[0]


@pytest.fixture(params=LOOPS)
def tests(
    request: pytest.FixtureRequest, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Generator[Suite]:
    tests = Suite(database, monkeypatch, LOOPS[request.param])
    yield tests
    asyncio.run(tests.databases.close())


@pytest.fixture(params=LOOPS)
def postgres_tests(
    request: pytest.FixtureRequest, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> Generator[Suite]:
    tests = Suite(postgres, monkeypatch, LOOPS[request.param])
    yield tests
    asyncio.run(tests.databases.close())


async def add_and_list(engine: AsyncEngine) -> list[str]:
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO items (name) VALUES ('unique')"))
        return list((await connection.execute(text("SELECT name FROM items ORDER BY name"))).scalars())


async def backend(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        found: int = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        return found


async def escape(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await driver.execute("COMMIT")


def test_loops_of_all_kinds_take_turns(tests: Suite) -> None:
    first, second = tests.wider_loop(), tests.wider_loop()
    for runner in (first, None, first, second, None, None, second, first):
        assert tests.run(add_and_list, runner)[0] == ["seeded", "unique"]
    tests.end_wider_loop(first)
    assert tests.run(add_and_list, second)[0] == ["seeded", "unique"]
    assert tests.run(add_and_list)[0] == ["seeded", "unique"]
    tests.end_wider_loop(second)
    assert tests.run(add_and_list)[0] == ["seeded", "unique"]


def test_a_wider_loop_keeps_its_connection(postgres_tests: Suite) -> None:
    wider = postgres_tests.wider_loop()
    assert len({postgres_tests.run(backend, wider)[0] for _ in range(3)}) == 1
    postgres_tests.end_wider_loop(wider)


def test_a_loop_for_each_test_keeps_a_connection_that_no_loop_owns(
    postgres_tests: Suite, postgres: Database
) -> None:
    backends = {postgres_tests.run(backend)[0] for _ in range(3)}
    assert len(backends) == (1 if postgres.driver == "psycopg" else 3)


def test_a_connection_is_not_kept_that_knows_a_schema_which_was_undone(postgres_tests: Suite) -> None:
    async def make_table(engine: AsyncEngine, columns: str) -> list[Any]:
        async with engine.begin() as connection:
            await connection.execute(text(f"CREATE TABLE made ({columns})"))
            for _ in range(8):  # psycopg prepares what it has sent five times
                rows = (await connection.execute(text("SELECT * FROM made"))).all()
            return list(rows)

    wider = postgres_tests.wider_loop()
    for columns in ("number INTEGER", "name TEXT, number BIGINT"):

        async def body(engine: AsyncEngine, columns: str = columns) -> list[Any]:
            return await make_table(engine, columns)

        assert postgres_tests.run(body, wider) == ([], SandboxEnd(None))
    postgres_tests.end_wider_loop(wider)


def test_no_kept_connection_leads_to_a_database_that_was_thrown_away(postgres_tests: Suite) -> None:
    first, second = postgres_tests.wider_loop(), postgres_tests.wider_loop()
    for runner in (first, second):
        assert postgres_tests.run(add_and_list, runner)[0] == ["seeded", "unique"]
    assert postgres_tests.run(escape, first)[1].escape is not None
    for one in (second, first, None):
        assert postgres_tests.run(add_and_list, one)[0] == ["seeded", "unique"]
    postgres_tests.end_wider_loop(first)
    postgres_tests.end_wider_loop(second)


def test_the_plugin_closes_what_it_has_kept_before_the_loop_ends(
    postgres: Database, pytester: pytest.Pytester
) -> None:
    pytester.makeini(
        "[pytest]\npythonpath = .\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
        "uno_db_engine = kept_shop:engine\nuno_db_metadata = kept_shop:metadata\nuno_leaks = error\n"
    )
    pytester.makepyfile(
        kept_shop=f"""
        from sqlalchemy import Column, MetaData, String, Table
        from sqlalchemy.ext.asyncio import create_async_engine

        engine = create_async_engine({postgres.absent_url!r})
        metadata = MetaData()
        names = Table("names", metadata, Column("name", String, primary_key=True))
        """,
        test_it="""
        import pytest
        from sqlalchemy import insert, text
        from kept_shop import engine, names

        BACKENDS = []

        async def use():
            async with engine.begin() as connection:
                BACKENDS.append(await connection.scalar(text("SELECT pg_backend_pid()")))
                await connection.execute(insert(names).values(name="unique"))

        class TestOnOneLoop:
            @pytest.mark.uno_async(loop_scope="class")
            @pytest.mark.parametrize("number", range(3))
            async def test_it(self, number):
                await use()
                assert len(set(BACKENDS)) == 1

        @pytest.mark.uno_async
        async def test_on_its_own_loop():
            await use()
            async with engine.connect() as connection:
                found = await connection.scalar(
                    text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
                )
            assert found == 1
        """,
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly", timeout=120)
    result.assert_outcomes(passed=4)
