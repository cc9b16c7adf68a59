"""Ways to give each test a database in which nothing of the test before is left."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import Any, Literal

from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, event, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import StaticPool

from pytest_uno.database.run_databases import RunDatabases
from pytest_uno.database.settings import DatabaseSettings, new_run_id

Sessions = async_sessionmaker[AsyncSession]


class Schema:
    """Tables in pairs, the second with a foreign key to the first, and rows in all of them.

    Args:
        tables: how many.
        rows: how many in all of them together.
    """

    def __init__(self, tables: int, rows: int) -> None:
        self.metadata = MetaData()
        self.rows = rows // tables
        before: Table | None = None
        for number in range(tables):
            reference = [] if before is None else [ForeignKey(before.c.id)]
            table = Table(
                f"table_{number}",
                self.metadata,
                Column("id", Integer, primary_key=True),
                Column("parent", Integer, *reference, index=True),
                Column("name", String(50), nullable=False, index=True),
                Column("amount", Integer, nullable=False, default=0),
            )
            before = table if number % 2 == 0 else None

    async def fill(self, session: AsyncSession) -> None:
        """Insert the rows."""
        for table in self.metadata.sorted_tables:
            rows = [
                {"id": number, "parent": number, "name": f"row {number}", "amount": number}
                for number in range(1, self.rows + 1)
            ]
            await session.execute(insert(table), rows)

    async def clear(self, session: AsyncSession) -> None:
        """Delete all rows."""
        for table in reversed(self.metadata.sorted_tables):
            await session.execute(table.delete())

    async def work(self, sessions: Sessions) -> None:
        """Do what each test does: three sessions, two commits, six statements."""
        table, other = self.metadata.tables["table_0"], self.metadata.tables["table_1"]
        new = self.rows + 1
        async with sessions() as session:
            await session.execute(insert(table).values(id=new, name="new", amount=1))
            await session.execute(insert(other).values(id=new, parent=new, name="new", amount=1))
            await session.commit()
        async with sessions() as session:
            amount = await session.scalar(select(table.c.amount).where(table.c.id == new))
            await session.execute(update(table).where(table.c.id == new).values(amount=(amount or 0) + 1))
            await session.commit()
        async with sessions() as session:
            joined = select(table.c.amount, other.c.name).join(other, other.c.parent == table.c.id)
            row = (await session.execute(joined.where(table.c.id == new))).one()
            count = len((await session.execute(select(other.c.id).limit(10))).all())
        assert row == (2, "new"), row
        assert count == 10, count


class Current:
    """What the settings of the plugin name: the contender that is being prepared."""

    engine: AsyncEngine
    schema: Schema


async def fill_current(session: AsyncSession) -> None:
    """Insert the rows of the current schema."""
    await Current.schema.fill(session)


class Contender(ABC):
    """One way.

    Args:
        schema: tables and rows.
        url: of a database of its own, empty or absent.
    """

    slow = False

    def __init__(self, schema: Schema, url: str) -> None:
        self.schema = schema
        self.url = url

    @abstractmethod
    async def prepare(self) -> None:
        """Do what is done once a run."""

    @abstractmethod
    async def run_test(self) -> None:
        """Run one test and what comes before and after it."""

    @abstractmethod
    async def close(self) -> None:
        """Close everything."""


class Plugin(Contender):
    """The plugin's own way, with all that it does for a test."""

    mode: Literal["rollback", "snapshot"] = "rollback"
    shares_loop = False

    async def prepare(self) -> None:
        """See `Contender.prepare`."""
        self.engine = Current.engine = create_async_engine(self.url)
        Current.schema = self.schema
        here = f"{__name__}:Current"
        self.databases = RunDatabases(
            DatabaseSettings(
                engine_specs=(f"{here}.engine",),
                metadata=f"{here}.schema.metadata",
                seed=f"{__name__}:fill_current",
                run_id=new_run_id(),
            )
        )
        await self.run_test()

    async def run_test(self) -> None:
        """See `Contender.run_test`."""
        database = self.databases.begin_test(
            mode=self.mode,
            conflict="error",
            wait=2.0,
            clock=None,
            wider_loop=asyncio.get_running_loop() if self.shares_loop else None,
        )
        try:
            await self.schema.work(database.session_factory)
        finally:
            end = await self.databases.end_test()
        assert end.escape is None

    async def close(self) -> None:
        """See `Contender.close`."""
        await self.databases.leave_loop()
        await self.databases.close()
        await self.engine.dispose()


class Kept(Plugin):
    """The plugin where all tests run on one loop, so that its connection can stay open."""

    shares_loop = True


class Snapshot(Plugin):
    """The plugin's copies."""

    mode: Literal["rollback", "snapshot"] = "snapshot"


class Prepared(Contender):
    """A way with a database of its own that is filled once.

    On SQLite with the two listeners of SQLAlchemy's documentation, without which neither DDL nor commits are in the
    transaction of the recipe.
    """

    async def prepare(self) -> None:
        """See `Contender.prepare`."""
        self.engine = create_async_engine(self.url)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine.sync_engine, "connect", _let_sqlalchemy_begin)
            event.listen(self.engine.sync_engine, "begin", _begin)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        async with self.engine.begin() as connection:
            await connection.run_sync(self.schema.metadata.create_all)
        async with self.sessions() as session:
            await self.schema.fill(session)
            await session.commit()
        await self.run_test()

    async def close(self) -> None:
        """See `Contender.close`."""
        await self.engine.dispose()


class Recipe(Prepared):
    """SQLAlchemy's recipe for tests: `join_transaction_mode="create_savepoint"`, on a pooled connection."""

    async def run_test(self) -> None:
        """See `Contender.run_test`."""
        async with self.engine.connect() as connection:
            outer = await connection.begin()
            try:
                await self.schema.work(
                    async_sessionmaker(
                        connection, join_transaction_mode="create_savepoint", expire_on_commit=False
                    )
                )
            finally:
                await outer.rollback()


class DeleteAll(Prepared):
    """Real commits; afterwards every table is emptied and filled again."""

    slow = True

    async def run_test(self) -> None:
        """See `Contender.run_test`."""
        await self.schema.work(self.sessions)
        async with self.sessions() as session:
            await self.schema.clear(session)
            await self.schema.fill(session)
            await session.commit()


class CreateAll(Contender):
    """A new schema for each test: in memory on SQLite, dropped afterwards elsewhere."""

    slow = True

    async def prepare(self) -> None:
        """See `Contender.prepare`."""
        await self.run_test()

    async def run_test(self) -> None:
        """See `Contender.run_test`."""
        async with self._engine() as engine:
            async with engine.begin() as connection:
                await connection.run_sync(self.schema.metadata.create_all)
            sessions = async_sessionmaker(engine, expire_on_commit=False)
            async with sessions() as session:
                await self.schema.fill(session)
                await session.commit()
            await self.schema.work(sessions)
            if engine.dialect.name != "sqlite":
                async with engine.begin() as connection:
                    await connection.run_sync(self.schema.metadata.drop_all)

    @contextlib.asynccontextmanager
    async def _engine(self) -> AsyncGenerator[AsyncEngine]:
        in_memory = self.url.startswith("sqlite")
        engine = (
            create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
            if in_memory
            else create_async_engine(self.url)
        )
        yield engine
        await engine.dispose()

    async def close(self) -> None:
        """Do nothing: each test has closed what it made."""


def _let_sqlalchemy_begin(connection: Any, record: Any) -> None:
    connection.isolation_level = None


def _begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")
