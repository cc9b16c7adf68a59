from __future__ import annotations

import asyncio
import gc
import warnings

import pytest
from sqlalchemy import create_engine, event, insert, select
from sqlalchemy.exc import SAWarning
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import greenlet_spawn

from pytest_uno.database import BlockedPool, RollbackSandbox, SandboxError, block, unblock
from tests.database.databases import Database
from tests.database.library import Author, make_library, names
from tests.database.running import LOOPS, Run, run_on, sandboxed


def test_a_test_that_uses_no_database_opens_no_connection(run: Run, database: Database) -> None:
    async def main(engine: AsyncEngine) -> None:
        if database.kind != "sqlite-memory":  # it would be gone with its connection
            await engine.dispose()
        opened: list[object] = []
        event.listen(engine.sync_engine, "connect", lambda *_: opened.append(1))
        async with sandboxed(engine) as sandbox:
            assert not sandbox.is_open
            assert sandbox.transactions == ()
            assert sandbox.queries == ()
        assert opened == []
        async with sandboxed(engine) as sandbox:
            assert await names(engine) == []
            assert sandbox.is_open
        assert len(opened) <= 1

    run(main)


def test_the_engines_get_their_pools_back(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        own = engine.sync_engine.pool
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        assert engine.sync_engine.pool is not own
        assert "sandbox" in engine.sync_engine.pool.status()
        await engine.dispose()
        assert "sandbox" in engine.sync_engine.pool.status()
        await sandbox.stop()
        assert engine.sync_engine.pool is own

    run(main)


def test_an_engine_is_in_one_sandbox_at_a_time(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine):
            with pytest.raises(SandboxError, match="in a sandbox already"):
                RollbackSandbox([engine]).start()
            assert await names(engine) == []

    run(main)


def test_primary_and_replica_share_a_sandbox(database: Database) -> None:
    async def main() -> None:
        primary, replica = database.engine(), database.engine(poolclass=NullPool)
        try:
            await make_library(primary)
            async with sandboxed(primary, replica) as sandbox:
                async with primary.begin() as connection:
                    await connection.execute(insert(Author).values(name="Ann"))
                assert await names(replica) == ["Ann"]
                assert len(sandbox.transactions) == 2
            assert await names(primary) == []
        finally:
            await primary.dispose()
            await replica.dispose()

    run_on(LOOPS["real"], main)


def test_engines_that_no_sandbox_can_serve() -> None:
    synchronous = create_engine("sqlite://")
    sqlite = create_async_engine("sqlite+aiosqlite://")
    with pytest.raises(SandboxError, match="needs an engine"):
        RollbackSandbox([])
    with pytest.raises(SandboxError, match="no AsyncEngine"):
        RollbackSandbox([synchronous])  # type: ignore[list-item]
    other = create_async_engine("sqlite+aiosqlite://")
    other.dialect.driver = "other"
    with pytest.raises(SandboxError, match="of different kinds"):
        RollbackSandbox([sqlite, other])
    other.dialect.name = "oracle"
    with pytest.raises(SandboxError, match="no sandbox for the database 'oracle'"):
        RollbackSandbox([other])


def test_between_tests_the_database_is_out_of_reach(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        own = engine.sync_engine.pool
        block(engine)
        block(engine)
        pool = engine.sync_engine.pool
        assert isinstance(pool, BlockedPool)
        assert pool.status() == "closed between tests"
        with pytest.raises(SandboxError, match="used outside of a test"):
            await names(engine)
        await engine.dispose()
        with pytest.raises(SandboxError, match="uno_db_seed"):
            await names(engine)
        async with sandboxed(engine):
            assert await names(engine) == []
        with pytest.raises(SandboxError, match="used outside of a test"):
            await names(engine)
        unblock(engine)
        unblock(engine)
        assert engine.sync_engine.pool is own

    run(main)


def test_a_session_that_outlives_the_test_gets_a_clear_error(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        block(engine)
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        session = AsyncSession(engine)
        session.add(Author(name="Ann"))
        await session.flush()
        await sandbox.stop()
        with pytest.raises(SandboxError, match="after the test had ended: SELECT"):
            await session.scalars(select(Author))
        await session.close()
        late = AsyncSession(engine)
        with pytest.raises(SandboxError, match="outside of a test"):
            await late.scalars(select(Author))
        await late.close()
        unblock(engine)
        assert await names(engine) == []

    run(main)


def test_a_background_task_that_still_works_gets_a_clear_error(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        holder = engine.connect()
        await holder.start()
        await holder.execute(insert(Author).values(name="Ann"))
        waiting = asyncio.create_task(names(engine))
        for _ in range(20):
            await asyncio.to_thread(int)  # lets it come as far as it can
        stopping = asyncio.create_task(sandbox.stop())
        with pytest.raises(SandboxError, match="after the test had ended: a statement that waited"):
            await waiting
        await stopping
        with pytest.raises(SandboxError, match="after the test had ended: SELECT"):
            await holder.execute(select(Author))
        await holder.close()
        assert await names(engine) == []

    run(main)


def test_a_statement_on_the_wire_is_waited_for_at_the_end(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        sandbox = RollbackSandbox([engine])
        sandbox.start()

        async def write() -> None:
            async with engine.connect() as connection:
                await connection.execute(insert(Author).values(name="Ann"))

        task = asyncio.create_task(write())
        while not sandbox.queries:
            await asyncio.sleep(0)
        end = await sandbox.stop()
        assert end.escape is None
        await task
        assert await names(engine) == []

    run(main)


def test_an_end_that_is_cancelled_comes_to_its_end(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        for turns in range(1, 6):
            sandbox = RollbackSandbox([engine])
            sandbox.start()
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name="Ann"))
            task = asyncio.create_task(sandbox.stop())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert await names(engine) == []

    run(main)


def test_connections_that_the_collector_takes_are_rolled_back(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        sandbox = RollbackSandbox([engine], wait=0.1)
        sandbox.start()

        async def forget() -> None:
            connection = await engine.connect()
            await connection.execute(insert(Author).values(name="lost"))

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)
            warnings.simplefilter("ignore", ResourceWarning)
            await asyncio.create_task(forget())
            gc.collect()
        assert await names(engine) == []
        assert [record.outcome for record in sandbox.discarded] == ["terminate"]
        assert (await sandbox.stop()).escape is None
        assert await names(engine) == []

    run(main)


def test_connections_collected_at_the_very_end(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        connection = await engine.connect()
        await connection.execute(insert(Author).values(name="lost"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)
            del connection
            gc.collect()
        await sandbox.stop()
        assert [record.outcome for record in sandbox.discarded] == ["terminate"]
        assert await names(engine) == []

    run(main)


def test_a_database_that_cannot_be_opened_can_be_tried_again(database: Database) -> None:
    async def main() -> None:
        engine = database.engine()
        try:
            await make_library(engine)
            failures = [1]

            @event.listens_for(engine.sync_engine, "do_connect")
            def fail_once(*_: object) -> None:
                if failures:
                    failures.pop()
                    raise ZeroDivisionError

            if database.kind != "sqlite-memory":
                await engine.dispose()
                async with sandboxed(engine):
                    with pytest.raises(ZeroDivisionError):
                        await names(engine)
                    assert await names(engine) == []
        finally:
            await engine.dispose()

    run_on(LOOPS["real"], main)


@pytest.mark.parametrize("loop", LOOPS)
def test_one_engine_serves_tests_on_several_loops(database: Database, loop: str) -> None:
    engine = database.engine()

    async def prepare() -> None:
        await make_library(engine)
        if database.kind != "sqlite-memory":
            await engine.dispose()

    async def test() -> None:
        async with sandboxed(engine):
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name="Ann"))
            await asyncio.gather(*(names(engine) for _ in range(3)))

    run_on(LOOPS[loop], prepare)
    for _ in range(3):
        run_on(LOOPS[loop], test)
    run_on(LOOPS[loop], engine.dispose)


def test_a_pool_and_a_stream_that_outlive_the_test(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        kept = engine.sync_engine.pool
        async with engine.begin() as connection:
            await connection.execute(insert(Author), [{"name": f"a{number}"} for number in range(30)])
        connection = engine.connect()
        await connection.start()
        result = await connection.stream(select(Author.name))
        await sandbox.stop()
        with pytest.raises(SandboxError, match="after the test had ended"):
            await result.fetchall()
        await result.close()
        await connection.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # psycopg: the connection went before its cursor
            del result, connection
            gc.collect()
        with pytest.raises(SandboxError, match="after the test had ended: a new connection"):
            await greenlet_spawn(kept.connect)
        assert await names(engine) == []

    run(main)
