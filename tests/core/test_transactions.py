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


class Foreign:
    """A session of another library."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.commit_error: BaseException | None = None
        self.rollback_error: BaseException | None = None
        self.started = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self) -> None:
        self.started.set()
        await self.gate.wait()
        if self.commit_error is not None:
            raise self.commit_error
        self.calls.append("commit")

    async def rollback(self) -> None:
        self.started.set()
        await self.gate.wait()
        self.calls.append("rollback")
        if self.rollback_error is not None:
            raise self.rollback_error


@pytest.mark.parametrize("fails", [False, True])
async def test_ending_is_over_before_a_cancellation_is_delivered(fails: bool) -> None:
    session = Foreign()
    session.gate.clear()

    async def work() -> None:
        async with transaction(session):
            if fails:
                raise BoomError

    task = asyncio.create_task(work())
    await session.started.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    session.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert session.calls == ["rollback" if fails else "commit"]


async def test_foreign_sessions() -> None:
    session = Foreign()
    async with transaction(session):
        pass
    session.commit_error = BoomError()
    with pytest.raises(BoomError):
        async with transaction(session):
            pass
    session.rollback_error = ValueError("no connection")
    with pytest.raises(BoomError) as caught:
        async with transaction(session):
            pass
    assert "ValueError('no connection')" in caught.value.__notes__[0]
    with pytest.raises(KeyError) as caught_body:
        async with transaction(session):
            raise KeyError
    assert "ValueError('no connection')" in caught_body.value.__notes__[0]
    assert session.calls == ["commit", "rollback", "rollback", "rollback"]


async def test_synchronous_sessions() -> None:
    class Synchronous:
        def __init__(self) -> None:
            self.calls: list[str] = []

        def commit(self) -> None:
            self.calls.append("commit")

        def rollback(self) -> None:
            self.calls.append("rollback")

        def close(self) -> None:
            self.calls.append("close")

    session = Synchronous()
    async with transaction_manager(lambda: session):
        pass
    with pytest.raises(BoomError):
        async with transaction_manager(lambda: session):
            raise BoomError
    async with transaction_manager(lambda: session, read_only=True):
        pass
    assert session.calls == ["commit", "close", "rollback", "close", "rollback", "close"]


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


async def test_a_session_that_cannot_begin_or_close() -> None:
    class Broken(Foreign):
        async def close(self) -> None:
            raise ValueError("close")

    with pytest.raises(ValueError, match="close"):
        async with transaction_manager(Broken):
            pass
    with pytest.raises(BoomError) as caught:
        async with transaction_manager(Broken):
            raise BoomError
    assert "ValueError('close')" in caught.value.__notes__[0]
    session = Broken()
    session.commit_error = BoomError()
    with pytest.raises(BoomError) as caught:
        async with transaction_manager(lambda: session):
            pass
    async with transaction_manager(Foreign):  # needs no closing
        pass


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
