"""Transactions: commit, roll back, savepoints, and those of a manager."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import String, event, func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pytest_uno.core.async_manager import AsyncManager, use_manager
from pytest_uno.core.errors import ReadOnlyTransactionError
from pytest_uno.core.transactions import (
    TransactionContext,
    create_read_transaction_manager,
    create_transaction_manager,
    create_write_transaction_manager,
    readonly_transaction,
    transaction,
    transaction_manager,
)

pytestmark = pytest.mark.asyncio


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)


@pytest_asyncio.fixture
async def engine(tmp_path: Any) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/test.db")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    return async_sessionmaker(engine, expire_on_commit=False)


async def names(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return list((await connection.scalars(select(User.name).order_by(User.name))).all())


async def add(session: Any, name: str) -> None:
    await session.execute(insert(User).values(name=name))


class BoomError(Exception):
    pass


async def test_alias() -> None:
    assert TransactionContext is transaction


async def test_commit_and_roll_back(engine: AsyncEngine, sessions: Any) -> None:
    async with sessions() as session:
        async with transaction(session) as same:
            assert same is session
            await add(session, "kept")
        with pytest.raises(BoomError):
            async with transaction(session):
                await add(session, "dropped")
                raise BoomError
        async with transaction(session):  # the session is usable afterwards
            await add(session, "later")
    assert await names(engine) == ["kept", "later"]


async def test_an_autobegun_transaction_is_adopted(engine: AsyncEngine, sessions: Any) -> None:
    async with sessions() as session:
        await add(session, "before")
        async with transaction(session):
            await add(session, "inside")
        assert not session.in_transaction()
        await add(session, "before 2")
        with pytest.raises(BoomError):
            async with transaction(session):
                raise BoomError
        assert not session.in_transaction()
    assert await names(engine) == ["before", "inside"]


@pytest.mark.parametrize("autobegun", [False, True])
async def test_nested_blocks_are_savepoints(engine: AsyncEngine, sessions: Any, autobegun: bool) -> None:
    async with sessions() as session:
        if autobegun:
            await session.execute(select(User))
        async with transaction(session):
            await add(session, "outer")
            with pytest.raises(BoomError):
                async with transaction(session):
                    await add(session, "dropped")
                    raise BoomError
            async with transaction(session), transaction(session):
                await add(session, "inner")
    assert await names(engine) == ["inner", "outer"]


@pytest.mark.parametrize("autobegun", [False, True])
async def test_a_savepoint_before_begin_does_not_commit(
    engine: AsyncEngine, sessions: Any, autobegun: bool
) -> None:
    async with sessions() as session:
        if autobegun:
            await session.execute(select(User))
        with pytest.raises(BoomError):
            async with transaction(session):
                async with transaction(session):
                    await add(session, "inner")
                raise BoomError
    assert await names(engine) == []


async def test_a_block_in_begin_nested_is_a_savepoint(engine: AsyncEngine, sessions: Any) -> None:
    async with sessions() as session:
        await add(session, "outer")
        nested = await session.begin_nested()
        async with transaction(session):
            await add(session, "inner")
        assert session.in_nested_transaction()
        await nested.rollback()
        await session.commit()
    assert await names(engine) == ["outer"]


async def test_connections(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        async with transaction(connection):
            await add(connection, "outer")
            with pytest.raises(BoomError):
                async with transaction(connection):
                    await add(connection, "dropped")
                    raise BoomError
        await connection.execute(select(User))
        async with transaction(connection):  # in a transaction: a savepoint
            await add(connection, "not committed")
        assert connection.in_transaction()
        await connection.rollback()
    assert await names(engine) == ["outer"]


async def test_scoped_sessions(engine: AsyncEngine, sessions: Any) -> None:
    scoped = async_scoped_session(sessions, asyncio.current_task)
    async with transaction(scoped) as same:
        assert same is scoped
        await add(scoped, "outer")
        with pytest.raises(BoomError):
            async with transaction(scoped):
                await add(scoped, "dropped")
                raise BoomError
    with pytest.raises(ReadOnlyTransactionError):
        async with readonly_transaction(scoped):
            await add(scoped, "refused")
    await scoped.remove()
    assert await names(engine) == ["outer"]


async def test_a_session_with_several_engines(engine: AsyncEngine) -> None:
    session = AsyncSession(binds={User: engine})
    async with session:
        await session.execute(select(User))
        async with transaction(session), transaction(session):
            session.add(User(name="inner"))
        await session.execute(select(User))
        with pytest.raises(ReadOnlyTransactionError):
            async with readonly_transaction(session):
                session.add(User(name="refused"))
    assert await names(engine) == ["inner"]


async def test_entering_twice_is_an_error(sessions: Any) -> None:
    async with sessions() as session:
        block = transaction(session)
        async with block:
            with pytest.raises(RuntimeError, match="was entered already"):
                await block.__aenter__()
        with pytest.raises(RuntimeError, match="was entered already"):
            await block.__aenter__()


@pytest.mark.parametrize("autobegun", [False, True])
async def test_a_commit_that_fails_is_rolled_back(
    engine: AsyncEngine, sessions: Any, autobegun: bool
) -> None:
    async with sessions() as session:
        async with transaction(session):
            await add(session, "taken")
        if autobegun:
            await session.execute(select(User))
        with pytest.raises(IntegrityError):
            async with transaction(session):
                session.add(User(name="taken"))
        assert not session.in_transaction()
        async with transaction(session):
            await add(session, "later")
    assert await names(engine) == ["later", "taken"]


@pytest.mark.parametrize("autobegun", [False, True])
async def test_a_cancelled_block_never_persists(engine: AsyncEngine, sessions: Any, autobegun: bool) -> None:
    session = sessions()
    written = asyncio.Event()

    async def work() -> None:
        if autobegun:
            await session.execute(select(User))
        async with transaction(session):
            await add(session, "dropped")
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await written.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not session.in_transaction()
    async with transaction(session):
        await add(session, "later")
    await session.close()
    assert await names(engine) == ["later"]


# ---------------------------------------------------------------------------------------------- managers


async def test_the_current_manager_has_the_factory(engine: AsyncEngine, sessions: Any) -> None:
    manager = AsyncManager()
    with use_manager(manager):
        with pytest.raises(RuntimeError, match="has no session factory"):
            async with transaction_manager():
                pass
        manager.session_factory = sessions
        async with transaction_manager() as session:
            await add(session, "kept")
        assert not session.in_transaction()
    assert await names(engine) == ["kept"]


async def test_factories(engine: AsyncEngine, sessions: Any) -> None:
    async def open_session(**options: Any) -> Any:
        return sessions(**options)

    opener = create_write_transaction_manager(open_session, autoflush=False)
    async with opener() as session:
        assert session.autoflush is False
        await add(session, "kept")
    block = create_transaction_manager(sessions)()
    async with block:
        pass
    with pytest.raises(RuntimeError, match="was entered already"):
        await block.__aenter__()
    reader = create_read_transaction_manager(sessions)
    async with reader() as session:
        assert await session.scalar(select(func.count()).select_from(User)) == 1
    with pytest.raises(ReadOnlyTransactionError):
        async with reader() as session:
            await session.execute(text("DELETE FROM user"))
    assert await names(engine) == ["kept"]
    assert "read-only" in repr(reader())


async def test_a_session_whose_begin_fails_is_closed(sessions: Any) -> None:
    closed = False

    class Unable(AsyncSession):
        def begin(self) -> Any:
            raise BoomError

        async def close(self) -> None:
            nonlocal closed
            closed = True
            await super().close()

    with pytest.raises(BoomError):
        async with transaction_manager(Unable):
            pass
    assert closed


async def test_listeners_see_one_commit(engine: AsyncEngine, sessions: Any) -> None:
    commits: list[Any] = []
    event.listen(engine.sync_engine, "commit", commits.append)
    async with transaction_manager(sessions) as session:
        await add(session, "kept")
    assert len(commits) == 1
