from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from pytest_uno.core.errors import ReadOnlyTransactionError
from pytest_uno.core.transactions import readonly_transaction
from pytest_uno.database import RollbackSandbox, SandboxWarning
from tests.database.databases import Database
from tests.database.library import Author, make_library, names
from tests.database.running import LOOPS, Run, run_on, sandboxed

_DEFERRED = """
CREATE TABLE loans (
    id INTEGER PRIMARY KEY,
    book INTEGER REFERENCES books (id) DEFERRABLE INITIALLY DEFERRED
)
"""


@pytest.mark.parametrize("in_test", [False, True])
def test_deferred_constraints_are_checked_at_a_commit(run_postgres: Run, in_test: bool) -> None:
    async def main(engine: AsyncEngine) -> None:
        if not in_test:
            async with engine.begin() as connection:
                await connection.execute(text(_DEFERRED))
        for _ in range(2):
            async with sandboxed(engine) as sandbox:
                if in_test:
                    async with engine.begin() as connection:
                        await connection.execute(insert(Author).values(name="before the table"))
                    async with engine.begin() as connection:
                        await connection.execute(text(_DEFERRED))
                with pytest.raises(IntegrityError, match="loans"):
                    async with engine.begin() as connection:
                        await connection.execute(text("INSERT INTO loans VALUES (1, 7)"))
                assert [record.outcome for record in sandbox.discarded] == ["failed"]
                for number in (1, 2):
                    async with engine.begin() as connection:
                        book = 7 + number
                        await connection.execute(text(f"INSERT INTO loans VALUES ({number}, {book})"))
                        await connection.execute(text(f"INSERT INTO books VALUES ({book}, 'late', NULL)"))
                assert len(sandbox.commits) >= 2
        if not in_test:
            async with engine.begin() as connection:
                await connection.execute(text("DROP TABLE loans"))

    run_postgres(main)


@pytest.mark.parametrize(
    "statement",
    [
        "SET LOCAL work_mem = '99MB'",
        "SELECT set_config('work_mem', '99MB', true)",
        "SELECT set_config('work_mem', '99MB', false)",
    ],
)
def test_local_settings_end_with_their_transaction(run_postgres: Run, statement: str) -> None:
    async def show(connection: Any, name: str = "work_mem") -> Any:
        return (await connection.execute(text(f"SHOW {name}"))).scalar()

    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), engine.connect() as connection:
            await connection.execute(text("SET work_mem = '55MB'"))
            await connection.commit()
            await connection.execute(text(statement))
            assert await show(connection) == "99MB"
            await connection.rollback()
            assert await show(connection) == "55MB"
            await connection.execute(text(statement))
            await connection.execute(text(statement))
            await connection.execute(insert(Author).values(name=statement))
            await connection.commit()
            assert await show(connection) == ("99MB" if "false" in statement else "55MB")
            await connection.execute(text("SET LOCAL TIME ZONE 'Asia/Tokyo'"))
            assert await show(connection, "TimeZone") == "Asia/Tokyo"
            await connection.commit()
            assert await show(connection, "TimeZone") != "Asia/Tokyo"
        async with engine.connect() as connection:
            assert await show(connection) not in ("99MB", "55MB")

    run_postgres(main)


_CHECKED_AT_ONCE = """
CREATE TABLE loans (
    id INTEGER PRIMARY KEY,
    book INTEGER REFERENCES books (id) DEFERRABLE,
    author INTEGER REFERENCES authors (id) DEFERRABLE INITIALLY DEFERRED
)
"""


def test_set_constraints_ends_with_its_transaction(run_postgres: Run) -> None:
    async def lend(connection: AsyncConnection, number: int) -> None:
        await connection.execute(text(f"INSERT INTO loans VALUES ({number}, {number}, NULL)"))

    async def fix(connection: AsyncConnection, number: int) -> None:
        await connection.execute(text(f"INSERT INTO books VALUES ({number}, 'late', NULL)"))

    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), engine.connect() as one, engine.connect() as two:
            await one.execute(text(_CHECKED_AT_ONCE))
            await one.commit()
            for number in (1, 2):
                await one.execute(text("SET CONSTRAINTS ALL DEFERRED"))
                await lend(one, number)
                await fix(one, number)
                await one.commit()
                with pytest.raises(IntegrityError, match="loans_book"):
                    await lend(one, 7)
                await one.rollback()
                await one.execute(text("SET CONSTRAINTS loans_book_fkey DEFERRED;"))
                await one.rollback()
                with pytest.raises(IntegrityError, match="loans_book"):
                    await lend(one, 7)
                await one.rollback()
            await one.execute(text("INSERT INTO loans VALUES (8, NULL, 8)"))
            await one.execute(text("INSERT INTO authors VALUES (8, 'late')"))
            await one.commit()
            # One that has only read gives way, and finds its constraints as it has left them.
            await one.execute(text("SET CONSTRAINTS loans_book_fkey DEFERRED"))
            await one.execute(text("SET CONSTRAINTS loans_author_fkey DEFERRED"))
            with pytest.raises(IntegrityError, match="loans_book"):
                await lend(two, 7)
            await two.rollback()
            await lend(one, 9)
            await fix(one, 9)
            await one.commit()

    run_postgres(main)


def test_a_statement_that_fails_sets_nothing(run_postgres: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), engine.connect() as connection, engine.connect() as other:
            async with connection.begin_nested() as nested:
                with pytest.raises(DBAPIError, match="does not exist"):
                    await connection.execute(text("SET CONSTRAINTS nothing DEFERRED"))
                await nested.rollback()
            await connection.execute(text("SELECT 1"))
            await other.execute(text("SELECT 1"))
            await connection.execute(text("SELECT 1"))

    run_postgres(main)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("way", [{"nowait": True}, {"skip_locked": True}])
def test_what_does_not_wait_for_a_lock_waits_and_says_so(run_postgres: Run, way: dict[str, Any]) -> None:
    async def lock(engine: AsyncEngine) -> list[str]:
        async with AsyncSession(engine) as session, session.begin():
            found = await session.scalars(select(Author.name).with_for_update(**way))
            return list(found)

    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine):
            assert await lock(engine) == []  # nobody is in the way
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name="Ann"))
                waiting = asyncio.create_task(lock(engine))
                with pytest.warns(SandboxWarning, match="it waits in the sandbox"):
                    await turns()
            assert await waiting == ["Ann"]

    run_postgres(main)


def test_local_settings_are_those_of_their_transaction_only(run_postgres: Run) -> None:
    async def tenant(connection: Any) -> Any:
        return (await connection.execute(text("SELECT current_setting('app.tenant', true)"))).scalar()

    async def main(engine: AsyncEngine) -> None:
        async with (
            sandboxed(engine),
            engine.connect() as one,
            engine.connect() as two,
            engine.connect() as three,
        ):
            await one.execute(text("SELECT set_config('app.tenant', :name, true)"), {"name": "it's one"})
            await two.execute(text("SET LOCAL app.tenant = 'two'"))
            for _ in range(2):
                assert await tenant(one) == "it's one"
                assert not await tenant(three)
                assert await tenant(two) == "two"
            await one.execute(insert(Author).values(name="Ann"))
            assert await tenant(one) == "it's one"
            await one.commit()
            assert not await tenant(one)
            assert await tenant(two) == "two"

    run_postgres(main)


def test_for_update_has_one_winner(run_postgres: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        winners: list[int] = []

        async def take(number: int) -> None:
            async with AsyncSession(engine) as session, session.begin():
                job = (
                    await session.scalars(select(Author).where(Author.name == "job").with_for_update())
                ).first()
                if job is not None:
                    await asyncio.sleep(0)
                    job.name = f"taken by {number}"
                    winners.append(number)

        async with sandboxed(engine):
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name="job"))
            await asyncio.gather(*(take(number) for number in range(4)))
            assert len(winners) == 1
            assert await names(engine) == [f"taken by {winners[0]}"]

    run_postgres(main)


def test_after_an_error_a_transaction_is_unusable_until_it_is_rolled_back(run_postgres: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine) as sandbox, engine.connect() as connection:
            await connection.execute(insert(Author).values(name="lost"))
            with pytest.raises(DBAPIError):
                await connection.execute(text("SELECT 1 / 0"))
            with pytest.raises(DBAPIError, match="aborted"):
                await connection.execute(select(Author))
            await connection.commit()  # PostgreSQL makes a ROLLBACK of it
            assert [record.outcome for record in sandbox.discarded] == ["rollback"]
            assert await names(engine) == []
            await connection.execute(insert(Author).values(name="Ann"))
            async with connection.begin_nested() as nested:
                with pytest.raises(DBAPIError):
                    await connection.execute(text("SELECT 1 / 0"))
                await nested.rollback()
            await connection.commit()
            assert await names(engine) == ["Ann"]

    run_postgres(main)


def test_sequences_begin_anew_when_asked_to(run_postgres: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        for resets in (False, True, True):
            async with (
                sandboxed(engine, reset_sequences=resets),
                AsyncSession(engine, expire_on_commit=False) as session,
            ):
                author = Author(name="Ann")
                session.add(author)
                await session.commit()
                assert not resets or author.id == 1

    run_postgres(main)


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "SERIALIZABLE"])
def test_engines_with_a_level_of_their_own(postgres: Database, level: Any) -> None:
    async def main() -> None:
        engine = postgres.engine(isolation_level=level)
        try:
            await make_library(engine)
            for _ in range(2):
                async with sandboxed(engine, keep_connection=True) as sandbox:
                    async with engine.connect() as connection:
                        await connection.execute(insert(Author).values(name="Ann"))
                        await connection.execute(insert(Author).values(name="Bob"))
                    assert len(sandbox.commits) == (2 if level == "AUTOCOMMIT" else 0)
                assert await names(engine) == []
            async with engine.connect() as connection:
                expected = "read committed" if level == "AUTOCOMMIT" else "serializable"
                assert (await connection.execute(text("SHOW transaction_isolation"))).scalar() == expected
        finally:
            await engine.dispose()

    run_on(LOOPS["real"], main)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("NOTIFY channel", "nobody is notified"),
        ("SELECT pg_advisory_xact_lock(1)", "its own advisory lock"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "levels make no difference"),
    ],
)
def test_what_one_connection_cannot_show_is_said(run_postgres: Run, statement: str, said: str) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), engine.connect() as connection:
            with pytest.warns(SandboxWarning, match=said):
                await connection.execute(text(statement))
            assert await connection.scalar(text("SELECT 1")) == 1
            await connection.rollback()
            with pytest.warns(SandboxWarning, match="isolation level SERIALIZABLE"):
                await connection.execution_options(isolation_level="SERIALIZABLE")

    run_postgres(main)


def test_read_only_transactions_of_the_core_end(run_postgres: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), AsyncSession(engine) as session:
            with pytest.raises(ReadOnlyTransactionError):
                async with readonly_transaction(session):
                    await session.execute(text("INSERT INTO authors (name) VALUES ('x')"))
            session.add(Author(name="Ann"))
            await session.commit()
            assert await names(engine) == ["Ann"]

    run_postgres(main)


def test_a_kept_connection_serves_the_next_test(postgres: Database) -> None:
    async def main() -> None:
        engine = postgres.engine()
        try:
            await make_library(engine)
            pids = set()
            for _ in range(8):  # psycopg prepares what it has sent five times
                async with sandboxed(engine, keep_connection=True), engine.begin() as connection:
                    pids.add(await connection.scalar(text("SELECT pg_backend_pid()")))
                    await connection.execute(insert(Author).values(name="Ann"))
            assert len(pids) == 1
            assert await names(engine) == []
        finally:
            await engine.dispose()

    run_on(LOOPS["real"], main)


def test_a_connection_that_breaks_is_told(run_postgres: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            await driver.close()
        end = await sandbox.stop()
        assert "could not be rolled back" in str(end.escape)
        assert await names(engine) == []

    run_postgres(main)


def test_a_role_is_no_setting_that_could_be_put_back(run_postgres: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), engine.connect() as connection:
            await connection.execute(text("SET LOCAL ROLE NONE"))
            await connection.execute(insert(Author).values(name="Ann"))
            await connection.commit()
            assert await names(engine) == ["Ann"]

    run_postgres(main)
