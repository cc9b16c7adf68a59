from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from pytest_uno.core.transactions import TransactionContext
from pytest_uno.database import SandboxWarning
from tests.database.library import Author, Book, make_library, names
from tests.database.running import LOOPS, run_on, sandboxed

_DEFERRED = """
CREATE TABLE loans (
    id INTEGER PRIMARY KEY,
    book INTEGER REFERENCES books (id) DEFERRABLE INITIALLY DEFERRED
)
"""


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "sqlite+aiosqlite://" if request.param == "memory" else f"sqlite+aiosqlite:///{tmp_path}/own.db"


def _run(engine: AsyncEngine, main: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        try:
            await make_library(engine)
            await main()
        finally:
            await engine.dispose()

    run_on(LOOPS["real"], body)


def _enforce_keys(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def set_up(dbapi: Any, _: object) -> None:
        cursor = dbapi.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()


def test_foreign_keys_of_a_listener_stay_on(url: str) -> None:
    engine = create_async_engine(url)
    _enforce_keys(engine)

    async def main() -> None:
        for _ in range(2):
            async with sandboxed(engine), engine.connect() as connection:
                assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar() == 1
                with pytest.raises(IntegrityError):
                    await connection.execute(insert(Book).values(title="x", author_id=7))

    _run(engine, main)


@pytest.mark.parametrize("in_test", [False, True])
def test_deferred_keys_are_checked_at_a_commit(url: str, in_test: bool) -> None:
    engine = create_async_engine(url)
    _enforce_keys(engine)

    async def main() -> None:
        if not in_test:
            async with engine.begin() as connection:
                await connection.exec_driver_sql(_DEFERRED)
        for _ in range(2):
            async with sandboxed(engine) as sandbox:
                if in_test:
                    async with engine.begin() as connection:
                        await connection.execute(insert(Author).values(name="before the table"))
                    async with engine.begin() as connection:
                        await connection.exec_driver_sql(_DEFERRED)
                with pytest.raises(IntegrityError, match="FOREIGN KEY constraint failed"):
                    async with engine.begin() as connection:
                        await connection.exec_driver_sql("INSERT INTO loans (book) VALUES (7)")
                assert [record.outcome for record in sandbox.discarded] == ["failed"]
                async with engine.begin() as connection:
                    await connection.exec_driver_sql("INSERT INTO loans (book) VALUES (7)")
                    await connection.execute(insert(Book).values(id=7, title="late"))
                assert sandbox.commits

    _run(engine, main)


def test_keys_deferred_by_a_pragma_are_checked_at_the_commit_and_only_then(url: str) -> None:
    engine = create_async_engine(url)
    _enforce_keys(engine)

    async def main() -> None:
        async with sandboxed(engine), engine.connect() as connection:
            await connection.exec_driver_sql("PRAGMA defer_foreign_keys = OFF")
            await connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            await connection.execute(insert(Book).values(title="x", author_id=7))
            with pytest.raises(IntegrityError):
                await connection.commit()
            await connection.rollback()
            await connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            await connection.execute(insert(Author).values(id=7, name="Ann"))
            await connection.commit()
            with pytest.raises(IntegrityError):
                await connection.execute(insert(Book).values(title="x", author_id=8))

    _run(engine, main)


def test_query_only_is_the_affair_of_its_connection(url: str) -> None:
    engine = create_async_engine(url)

    async def main() -> None:
        async with sandboxed(engine), engine.connect() as reader:
            await reader.exec_driver_sql("PRAGMA query_only = ON")
            with pytest.raises(OperationalError, match="readonly"):
                await reader.execute(insert(Author).values(name="x"))
            await reader.rollback()
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name="Ann"))
            with pytest.raises(OperationalError, match="readonly"):
                await reader.execute(insert(Author).values(name="x"))
            await reader.rollback()
            await reader.exec_driver_sql("PRAGMA query_only(0)")
            await reader.execute(insert(Author).values(name="Bob"))
            await reader.commit()
            await reader.exec_driver_sql("PRAGMA query_only = 1")
            assert (await reader.exec_driver_sql("PRAGMA query_only")).scalar() == 1
        async with engine.begin() as connection:
            await connection.execute(insert(Author).values(name="after"))
        assert await names(engine) == ["after"]

    _run(engine, main)


def test_the_transactions_of_the_core_work_inside(url: str) -> None:
    engine = create_async_engine(url)

    async def main() -> None:
        async with sandboxed(engine), AsyncSession(engine) as session:
            async with TransactionContext(session):
                session.add(Author(name="Ann"))
                with pytest.raises(ZeroDivisionError):
                    async with TransactionContext(session):
                        session.add(Author(name="Bob"))
                        await session.flush()
                        raise ZeroDivisionError
            assert (await session.scalars(select(Author.name))).all() == ["Ann"]

    _run(engine, main)


def _levels() -> list[dict[str, Any]]:
    options: list[dict[str, Any]] = [
        {},
        {"connect_args": {"isolation_level": None}},
        {"connect_args": {"isolation_level": "IMMEDIATE"}},
        {"isolation_level": "AUTOCOMMIT"},
        {"isolation_level": "SERIALIZABLE"},
    ]
    if sys.version_info >= (3, 12):
        options += [{"connect_args": {"autocommit": value}} for value in (False, True)]
    return options


@pytest.mark.parametrize("options", _levels(), ids=str)
def test_however_the_driver_begins_transactions(url: str, options: dict[str, Any]) -> None:
    engine = create_async_engine(url, **options)

    async def level() -> Any:
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            return driver.isolation_level, driver.in_transaction

    async def main() -> None:
        before = await level()
        for _ in range(2):
            async with sandboxed(engine) as sandbox:
                async with engine.begin() as connection:
                    await connection.execute(insert(Author).values(name="Ann"))
                    await connection.exec_driver_sql("CREATE TABLE extra (id INTEGER)")
                async with engine.connect() as connection:
                    await connection.execute(insert(Author).values(name="Bob"))
                is_auto = options.get("isolation_level") == "AUTOCOMMIT"
                assert await names(engine) == (["Ann", "Bob"] if is_auto else ["Ann"])
                assert len(sandbox.commits) == (3 if is_auto else 1)
            assert await level() == before
            assert await names(engine) == []

    _run(engine, main)


def test_begin_immediate_makes_others_wait(url: str) -> None:
    engine = create_async_engine(url)

    async def main() -> None:
        async with sandboxed(engine) as sandbox, engine.connect() as holder:
            await holder.exec_driver_sql("BEGIN IMMEDIATE")
            async with engine.connect() as other:
                with pytest.raises(Exception, match="second database connection"):
                    await other.execute(select(Author))
            await holder.execute(insert(Author).values(name="Ann"))
            await holder.exec_driver_sql("COMMIT")
            assert await names(engine) == ["Ann"]
            assert [record.writes for record in sandbox.commits] == [1]

    _run(engine, main)


def test_releasing_what_was_never_set_is_the_database_own_error(url: str) -> None:
    engine = create_async_engine(url)

    async def main() -> None:
        async with sandboxed(engine), engine.connect() as connection:
            with pytest.raises(OperationalError, match="no such savepoint: missing"):
                await connection.exec_driver_sql("RELEASE missing")
            await connection.rollback()
            await connection.exec_driver_sql("SAVEPOINT one")
            await connection.exec_driver_sql("SAVEPOINT two")
            await connection.exec_driver_sql("RELEASE one")
            with pytest.raises(OperationalError, match="no such savepoint: two"):
                await connection.exec_driver_sql("RELEASE two")

    _run(engine, main)


def test_isolation_levels_make_no_difference_and_that_is_said(url: str) -> None:
    engine = create_async_engine(url)

    async def main() -> None:
        async with sandboxed(engine), engine.connect() as connection:
            raw = (await connection.get_raw_connection()).dbapi_connection
            assert raw is not None
            assert raw.isolation_level == ""
            raw.isolation_level = None
            assert raw.isolation_level is None
            raw.isolation_level = ""
            with pytest.warns(SandboxWarning, match="isolation level SERIALIZABLE"):
                raw.isolation_level = "SERIALIZABLE"
            raw.autocommit = True
            assert raw.autocommit
            raw.set_autocommit(False)
            raw.set_read_only(True)
            raw.set_deferrable(True)
            raw.readonly = True
            assert not raw.autocommit

    _run(engine, main)
