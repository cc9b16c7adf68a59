from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import pytest_asyncio
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.pool import NullPool

from pytest_uno.core.errors import SandboxError
from pytest_uno.database.records import Statement
from pytest_uno.database.sandbox.pool import block, unblock
from pytest_uno.database.snapshot import SnapshotSandbox
from pytest_uno.database.templates.choice import make_template
from pytest_uno.database.templates.template import Template
from tests.database.databases import Database
from tests.database.shop_schema import add, items, names, scalar

pytestmark = pytest.mark.asyncio

_ROOT = Path(__file__).parents[2]


@pytest_asyncio.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = database.absent_engine()
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture
async def template(database: Database, engine: AsyncEngine) -> AsyncIterator[Template]:
    template = make_template(
        [engine],
        database.settings(
            metadata="tests.database.shop_schema:metadata", seed="tests.database.shop_schema:seed"
        ),
    )
    template.install()
    yield template
    await template.close()


@asynccontextmanager
async def snapshot(template: Template) -> AsyncIterator[SnapshotSandbox]:
    sandbox = SnapshotSandbox(template, root=_ROOT)
    sandbox.start()
    try:
        yield sandbox
    finally:
        await sandbox.stop()


async def test_a_commit_is_not_seen_by_the_next_test(engine: AsyncEngine, template: Template) -> None:
    for _ in range(3):
        async with snapshot(template):
            await add(engine, "the same unique name")
            assert await names(engine) == ["seeded", "the same unique name"]


async def test_a_commit_is_real(engine: AsyncEngine, template: Template) -> None:
    async with snapshot(template), engine.connect() as first, engine.connect() as second:
        await first.execute(insert(items).values(name="mine"))
        seen = (await second.execute(select(items.c.name))).scalars().all()
        assert seen == ["seeded"]
        await second.rollback()
        await first.commit()
        assert (await second.execute(select(items.c.name))).scalars().all() == ["seeded", "mine"]


async def test_nothing_is_opened_before_it_is_used(engine: AsyncEngine, template: Template) -> None:
    async with snapshot(template) as sandbox:
        assert not sandbox.is_open
    assert not template.is_built


async def test_the_worker_database_is_another_one(engine: AsyncEngine, template: Template) -> None:
    pool = engine.sync_engine.pool
    async with snapshot(template):
        await add(engine, "in the copy")
    assert engine.sync_engine.pool is pool
    assert await names(engine) == ["seeded"]


async def test_a_blocked_engine_is_blocked_again(engine: AsyncEngine, template: Template) -> None:
    block(engine)
    async with snapshot(template):
        await names(engine)
    with pytest.raises(SandboxError, match="outside of a test"):
        await names(engine)
    unblock(engine)


async def test_commits_and_rollbacks_are_recorded(engine: AsyncEngine, template: Template) -> None:
    async with snapshot(template) as sandbox:
        async with AsyncSession(engine) as session:
            await session.execute(insert(items).values(name="kept"))
            await session.execute(insert(items).values(name="kept, too"))
            await session.commit()
            await session.execute(insert(items).values(name="discarded"))
            await session.rollback()
            await session.execute(insert(items).values(name="forgotten"))
        kept, *others = sandbox.transactions
        assert sandbox.commits == (kept,)
        assert sandbox.discarded == tuple(others)
        assert kept.outcome == "commit"
        assert kept.writes == 2
        assert kept.tables == ("items",)
        assert [one.kind for one in kept.statements] == ["write", "write"]
        assert kept.site is not None
        assert kept.site.file == "tests/database/test_snapshots.py"
        assert [one.outcome for one in others] == ["rollback", "rollback"]
        assert len(sandbox.queries) == 4
        assert all(one.site is not None and one.site.in_app for one in sandbox.queries)


async def test_raw_transactions_are_recorded(engine: AsyncEngine, template: Template) -> None:
    async with snapshot(template) as sandbox:
        async with engine.connect() as connection:
            connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(insert(items).values(name="at once"))
            await connection.exec_driver_sql("BEGIN")
            await connection.execute(insert(items).values(name="undone"))
            await connection.exec_driver_sql("ROLLBACK")
            await connection.exec_driver_sql("BEGIN")
            await connection.execute(insert(items).values(name="done"))
            await connection.exec_driver_sql("COMMIT")
        assert [one.outcome for one in sandbox.transactions] == ["commit", "rollback", "commit"]
        assert await names(engine) == ["seeded", "at once", "done"]


async def test_a_statement_that_fails_is_rolled_back(engine: AsyncEngine, template: Template) -> None:
    async with snapshot(template) as sandbox:
        await add(engine, "twice")
        with pytest.raises(IntegrityError):
            await add(engine, "twice")
        assert [one.outcome for one in sandbox.transactions] == ["commit", "rollback"]


async def test_a_commit_that_fails_is_recorded(
    database: Database, engine: AsyncEngine, template: Template
) -> None:
    async with snapshot(template) as sandbox:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE parent (id integer primary key)"))
            await connection.execute(
                text("CREATE TABLE child (id integer REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)")
            )
        async with engine.connect() as connection:
            if database.is_sqlite:
                await connection.execute(text("PRAGMA foreign_keys=ON"))
                await connection.commit()
            await connection.execute(text("INSERT INTO child VALUES (7)"))
            with pytest.raises(IntegrityError):
                await connection.commit()
        assert "failed" in [one.outcome for one in sandbox.transactions]
        assert [one.writes for one in sandbox.commits] == [2]


async def test_the_hook_sees_each_statement_first(engine: AsyncEngine, template: Template) -> None:
    seen: list[Statement] = []

    def refuse(statement: Statement) -> None:
        seen.append(statement)
        if statement.kind == "write":
            raise LookupError("no writes today")

    async with snapshot(template) as sandbox:
        assert sandbox.on_statement is None
        sandbox.on_statement = refuse
        await names(engine)
        with pytest.raises(LookupError):
            await add(engine, "refused")
        sandbox.on_statement = None
        assert await names(engine) == ["seeded"]
    assert [one.kind for one in seen] == ["read", "write"]


async def test_what_is_left_open_is_closed(engine: AsyncEngine, template: Template) -> None:
    sandbox = SnapshotSandbox(template, root=_ROOT)
    sandbox.start()
    kept = AsyncSession(engine)
    await kept.execute(insert(items).values(name="never committed"))
    idle = await engine.connect()
    end = await sandbox.stop()
    assert end.escape is None
    assert kept.sync_session.in_transaction()
    assert await names(engine) == ["seeded"]  # of the worker database, with connections of its own
    await idle.close()
    await kept.close()


@pytest.mark.filterwarnings("ignore:The garbage collector is trying to clean up:sqlalchemy.exc.SAWarning")
@pytest.mark.filterwarnings("ignore:.*was deleted while still open:ResourceWarning")
async def test_what_the_garbage_collector_took_does_no_harm(engine: AsyncEngine, template: Template) -> None:
    sandbox = SnapshotSandbox(template)
    sandbox.start()
    lost = await engine.connect()
    await lost.execute(select(items))
    del lost
    gc.collect()
    assert (await sandbox.stop()).escape is None
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await asyncio.to_thread(thread.join, 5)  # it still tells the loop that it has ended


async def test_dispose_in_the_test_goes_on_in_the_same_copy(engine: AsyncEngine, template: Template) -> None:
    async with snapshot(template) as sandbox:
        await add(engine, "before")
        await engine.dispose()
        await add(engine, "after")
        assert await names(engine) == ["seeded", "before", "after"]
        assert len(sandbox.commits) == 2


async def test_connections_of_many_tasks_share_one_copy(engine: AsyncEngine, template: Template) -> None:
    async with snapshot(template) as sandbox:
        await asyncio.gather(*(names(engine) for _ in range(4)))
        for number in range(4):
            await add(engine, f"task {number}")
        assert len(await names(engine)) == 5
        assert len(sandbox.commits) == 4


async def test_an_engine_without_a_pool_stays_without(database: Database) -> None:
    engine = database.absent_engine(poolclass=NullPool)
    template = make_template([engine], database.settings(metadata="tests.database.shop_schema:metadata"))
    template.install()
    async with snapshot(template):
        assert isinstance(engine.sync_engine.pool, NullPool)
        await add(engine, "one")
        assert await names(engine) == ["one"]
    await template.close()


async def test_the_copies_are_gone_at_the_end(
    database: Database, engine: AsyncEngine, template: Template
) -> None:
    places: list[str] = []
    for _ in range(2):
        async with snapshot(template):
            await add(engine, "one")
            if database.is_sqlite:
                places.append(await scalar(engine, "SELECT file FROM pragma_database_list"))
            else:
                places.append(await scalar(engine, "SELECT current_database()"))
    assert len(set(places)) == 2
    await template.close()
    if database.is_sqlite:
        assert not any(Path(place).parent.exists() for place in places)


async def test_for_update_has_one_winner(postgres: Database) -> None:
    engine = postgres.absent_engine()
    template = make_template([engine], postgres.settings(metadata="tests.database.shop_schema:metadata"))
    template.install()
    winners: list[int] = []

    async def take(number: int) -> None:
        async with AsyncSession(engine) as session, session.begin():
            jobs = select(items.c.id).where(items.c.name == "job").with_for_update()
            job = (await session.execute(jobs)).scalars().first()
            if job is not None:
                await session.execute(
                    update(items).where(items.c.id == job).values(name=f"taken by {number}")
                )
                winners.append(number)

    async with snapshot(template) as sandbox:
        await add(engine, "job")
        await asyncio.gather(*(take(number) for number in range(4)))
        assert len(winners) == 1
        assert await names(engine) == [f"taken by {winners[0]}"]
        assert [record.writes for record in sandbox.commits] == [1, 1]
    await template.close()
    await engine.dispose()


@pytest.mark.parametrize("steps", range(10))
async def test_a_cancelled_task_leaves_no_connection_open(
    engine: AsyncEngine, template: Template, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    async def use() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def check_out_and_cancel() -> None:
        task = asyncio.create_task(use())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    opened: list[Any] = []
    connect = engine.dialect.connect

    def connect_and_remember(*arguments: Any, **options: Any) -> Any:
        opened.append(connect(*arguments, **options))
        return opened[-1]

    async with snapshot(template):
        await names(engine)
        await engine.dispose()  # what the application may do
        monkeypatch.setattr(engine.dialect, "connect", connect_and_remember)
        await check_out_and_cancel()
    assert steps < 2 or opened
    assert not [connection for connection in opened if is_open(connection.driver_connection)]


def is_open(driver_connection: Any) -> bool:
    if isinstance(driver_connection, aiosqlite.Connection):
        return driver_connection._connection is not None
    is_closed = getattr(driver_connection, "is_closed", None)  # of asyncpg
    return not (driver_connection.closed if is_closed is None else is_closed())
