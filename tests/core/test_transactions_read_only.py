from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Column, Integer, MetaData, String, Table, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import registry
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.schema import CreateTable

from pytest_uno.core import transactions
from pytest_uno.core.errors import ReadOnlyTransactionError
from pytest_uno.core.transactions import readonly_transaction, transaction

pytestmark = pytest.mark.asyncio

metadata = MetaData()
users = Table("user", metadata, Column("id", Integer, primary_key=True), Column("name", String(20)))


class User:
    def __init__(self, name: str) -> None:
        self.name = name


registry(metadata=metadata).map_imperatively(User, users)


@pytest_asyncio.fixture
async def engine(tmp_path: Any) -> AsyncIterator[AsyncEngine]:
    # One connection, so that a switch that is left on it shows.
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{tmp_path}/test.db",
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1,
        max_overflow=0,
    )
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(insert(users).values(name="first"))
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture
async def session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session


async def names(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return list((await connection.scalars(select(users.c.name).order_by(users.c.id))).all())


async def check_writable(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        assert (await connection.exec_driver_sql("PRAGMA query_only")).scalar() == 0
        await connection.execute(insert(users).values(name="written"))


WRITES = [
    insert(users).values(name="x"),
    update(users).values(name="x"),
    delete(users),
    CreateTable(Table("other", MetaData(), Column("id", Integer))),
    text("INSERT INTO user (name) VALUES ('x')"),
    text("DELETE FROM user"),
    text("CREATE TABLE other (id INTEGER)"),
]


@pytest.mark.parametrize("write", WRITES, ids=str)
@pytest.mark.parametrize("case", ["not begun", "autobegun", "nested", "connection", "nested connection"])
async def test_a_write_is_an_error(engine: AsyncEngine, write: Any, case: str) -> None:
    with pytest.raises(ReadOnlyTransactionError, match="a write in a read-only transaction"):
        if case.endswith("connection"):
            async with engine.connect() as connection:
                if case == "nested connection":
                    await connection.execute(select(users))
                async with readonly_transaction(connection):
                    await connection.execute(write)
        else:
            async with AsyncSession(engine) as session:
                if case == "autobegun":
                    await session.execute(select(users))
                if case == "nested":
                    await session.begin()
                async with readonly_transaction(session):
                    await session.execute(write)
    assert await names(engine) == ["first"]
    await check_writable(engine)


async def test_reading_keeps_loaded_objects(engine: AsyncEngine, session: AsyncSession) -> None:
    async with readonly_transaction(session) as same:
        assert same is session
        user = (await session.scalars(select(User))).one()
    assert user.name == "first"  # not expired
    assert not session.in_transaction()
    await session.close()
    await check_writable(engine)


@pytest.mark.parametrize("change", ["new", "dirty", "deleted"])
async def test_flushes_are_refused(engine: AsyncEngine, session: AsyncSession, change: str) -> None:
    with pytest.raises(ReadOnlyTransactionError):
        async with readonly_transaction(session):
            user = (await session.scalars(select(User))).one()
            if change == "new":
                session.add(User("x"))
            elif change == "dirty":
                user.name = "x"
            else:
                await session.delete(user)
    assert not session.in_transaction()
    async with transaction(session):
        session.add(User("later"))
    await session.close()
    assert await names(engine) == ["first", "later"]


async def test_an_object_set_to_what_it_was_is_no_write(session: AsyncSession) -> None:
    async with readonly_transaction(session):
        user = (await session.scalars(select(User))).one()
        user.name = "first"


async def test_an_outer_transaction_writes_before_and_after(
    engine: AsyncEngine, session: AsyncSession
) -> None:
    async with transaction(session):
        session.add(User("before"))
        async with readonly_transaction(session):
            assert len((await session.scalars(select(User))).all()) == 2
            async with transaction(session):
                await session.scalars(select(User))
        session.add(User("after"))
    await session.close()
    assert await names(engine) == ["first", "before", "after"]


async def test_the_database_error_is_raised_inside_and_chained(session: AsyncSession) -> None:
    with pytest.raises(ReadOnlyTransactionError) as caught:
        async with readonly_transaction(session):
            with pytest.raises(OperationalError):
                await session.execute(text("DELETE FROM user"))
            await session.execute(text("DELETE FROM user"))
    assert isinstance(caught.value.__cause__, OperationalError)


async def test_other_errors_stay_as_they_are(session: AsyncSession) -> None:
    with pytest.raises(OperationalError, match="no such table"):
        async with readonly_transaction(session):
            await session.execute(text("SELECT * FROM missing"))
    with pytest.raises(KeyError):
        async with readonly_transaction(session):
            raise KeyError


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_a_block_that_ends_the_transaction_itself(
    engine: AsyncEngine, session: AsyncSession, end: str
) -> None:
    await session.execute(select(users))
    with pytest.raises(ReadOnlyTransactionError):
        async with readonly_transaction(session):
            await session.execute(select(users))
            await getattr(session, end)()
            await check_writable(engine)  # the pool's one connection
            await session.execute(text("DELETE FROM user"))  # the next transaction is guarded, too
    await session.close()
    assert await names(engine) == ["first", "written"]


async def test_a_cancelled_block_leaves_the_connection_writable(engine: AsyncEngine) -> None:
    reading = asyncio.Event()

    async def read() -> None:
        async with AsyncSession(engine) as session, readonly_transaction(session):
            await session.execute(select(users))
            reading.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(read())
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await check_writable(engine)


async def test_an_invalidated_connection_is_not_switched_back(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(KeyError):
            async with readonly_transaction(connection):
                await connection.invalidate()
                raise KeyError
    await check_writable(engine)


async def test_a_connection_that_cannot_be_switched_back_is_discarded(
    engine: AsyncEngine, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = transactions._switch_query_only

    def fail_to_switch_off(connection: Any, value: int) -> int:
        if value == 0:
            raise ValueError("no")
        return switch(connection, value)

    monkeypatch.setattr(transactions, "_switch_query_only", fail_to_switch_off)
    with pytest.raises(ValueError, match="no"):
        async with readonly_transaction(session):
            await session.execute(select(users))
    monkeypatch.undo()
    await session.close()
    await check_writable(engine)


async def test_a_guard_that_cannot_be_set_up_ends_the_transaction(
    engine: AsyncEngine, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_to_switch(*_: Any) -> int:
        raise ValueError("no")

    await session.execute(select(users))
    monkeypatch.setattr(transactions, "_switch_query_only", fail_to_switch)
    with pytest.raises(ValueError, match="no"):
        await readonly_transaction(session).__aenter__()
    assert not session.in_transaction()
    monkeypatch.undo()
    async with transaction(session):
        session.add(User("later"))
    await session.close()
    assert await names(engine) == ["first", "later"]


async def test_only_the_block_is_read_only_where_it_begins_the_outer_transaction(engine: AsyncEngine) -> None:
    async with AsyncSession(binds={User: engine}) as session, transaction(session):
        async with readonly_transaction(session):
            await session.scalars(select(User))  # the first use of the connection, in the savepoint
            with pytest.raises(ReadOnlyTransactionError):
                await session.execute(insert(User).values(name="x"))
        session.add(User("after"))
    assert await names(engine) == ["first", "after"]


async def test_nested_in_a_transaction_of_another_database(
    engine: AsyncEngine, session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with transaction(session):
        session.add(User("before"))
        await session.flush()
        monkeypatch.setattr(engine.sync_engine.dialect, "name", "other")
        async with readonly_transaction(session):
            await session.execute(text("INSERT INTO user (name) VALUES ('x')"))
        monkeypatch.undo()
    await session.close()
    assert await names(engine) == ["first", "before"]


@pytest.mark.parametrize("case", ["not begun", "autobegun", "connection"])
async def test_where_the_database_is_on_trust_the_block_is_rolled_back(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr(engine.sync_engine.dialect, "name", "other")
    write = text("INSERT INTO user (name) VALUES ('x')")
    if case == "connection":
        async with engine.connect() as connection, readonly_transaction(connection):
            await connection.execute(write)
    else:
        async with AsyncSession(engine) as session:
            if case == "autobegun":
                await session.execute(select(users))
            async with readonly_transaction(session):
                await session.execute(write)
            with pytest.raises(ReadOnlyTransactionError):
                async with readonly_transaction(session):
                    await session.execute(select(users))
                    session.add(User("x"))
            assert not session.in_transaction()
    assert await names(engine) == ["first"]


async def test_postgresql_is_told(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    async with engine.connect() as connection:
        monkeypatch.setattr(engine.sync_engine.dialect, "name", "postgresql")
        monkeypatch.setattr(connection.sync_connection, "exec_driver_sql", sent.append)
        async with readonly_transaction(connection):
            pass
    assert sent == ["SET TRANSACTION READ ONLY"]


@pytest.mark.parametrize(
    ("origin", "refused"),
    [
        (SimpleNamespace(sqlite_errorcode=8), True),
        (SimpleNamespace(sqlite_errorcode=8 | 5 << 8), True),
        (SimpleNamespace(sqlite_errorcode=1), False),
        (SimpleNamespace(sqlstate="25006"), True),
        (SimpleNamespace(pgcode="25006", sqlstate=None), True),
        (SimpleNamespace(sqlstate="23505"), False),
    ],
)
async def test_refusals_of_databases_are_known(origin: Any, refused: bool) -> None:
    assert transactions._is_refused_write(DBAPIError("", None, origin)) is refused
