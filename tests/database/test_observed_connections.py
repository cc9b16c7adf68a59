"""What real connections are seen to do where things go wrong."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, insert
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

from pytest_uno.database.snapshot import SnapshotSandbox
from pytest_uno.database.templates.choice import make_template
from tests.database.databases import Database
from tests.database.running import LOOPS, run_on
from tests.database.shop_schema import add, items, names


class _Snapshot:
    """An engine in a sandbox with a copy."""

    def __init__(self, database: Database) -> None:
        self.engine = database.absent_engine()
        settings = database.settings(metadata="tests.database.shop_schema:metadata")
        self.template = make_template([self.engine], settings)
        self.template.install()

    async def __aenter__(self) -> tuple[AsyncEngine, SnapshotSandbox]:
        self.sandbox = SnapshotSandbox(self.template)
        self.sandbox.start()
        return self.engine, self.sandbox

    async def __aexit__(self, *exc_info: object) -> None:
        await self.sandbox.stop()
        await self.template.close()
        await self.engine.dispose()


def test_a_commit_is_told_before_its_connection_is_used_again(database: Database) -> None:
    async def main() -> None:
        async with _Snapshot(database) as (engine, sandbox), engine.connect() as connection:
            await connection.execute(insert(items).values(name="kept"))
            await connection.commit()
            assert [one.writes for one in sandbox.commits] == [1]

    run_on(LOOPS["real"], main)


def test_a_connection_that_is_invalidated_in_a_transaction(database: Database) -> None:
    async def main() -> None:
        async with _Snapshot(database) as (engine, sandbox):
            async with engine.connect() as connection:
                await connection.execute(insert(items).values(name="lost"))
                await connection.invalidate()
                await connection.rollback()
                assert [one.outcome for one in sandbox.discarded] == ["terminate"]
            assert await names(engine) == []

    run_on(LOOPS["real"], main)


def test_a_connection_that_a_listener_refuses_was_never_taken(database: Database) -> None:
    async def main() -> None:
        refusals = [DisconnectionError()]

        def check(*_: object) -> None:
            if refusals:
                raise refusals.pop()

        async with _Snapshot(database) as (engine, sandbox):
            event.listen(engine.sync_engine.pool, "checkout", check, insert=True)  # before the sandbox's own
            await add(engine, "kept")
            assert not refusals
            assert [one.outcome for one in sandbox.transactions] == ["commit"]

    run_on(LOOPS["real"], main)


def test_a_rollback_that_fails_is_no_failed_commit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with _Snapshot(database) as (engine, sandbox):
            dialect = engine.sync_engine.dialect
            error = dialect.loaded_dbapi.OperationalError("no way back")

            def fail(_: Any) -> None:
                raise error

            connection = engine.connect()
            await connection.start()
            await connection.execute(insert(items).values(name="lost"))
            with monkeypatch.context() as patch:
                patch.setattr(dialect, "do_rollback", fail)
                with pytest.raises(Exception, match="no way back"):
                    await connection.rollback()
            assert [one.outcome for one in sandbox.transactions] == ["rollback"]
            await connection.close()

    run_on(LOOPS["real"], main)
