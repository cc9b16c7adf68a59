"""Sandboxes and transactions that begin or end in ways that are none of the usual ones."""

from __future__ import annotations

import asyncio
import gc
import warnings
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError, SAWarning
from sqlalchemy.ext.asyncio import AsyncEngine

from pytest_uno.database import RollbackSandbox, SandboxError
from pytest_uno.database.dialects.choice import choose_dialect
from tests.database.library import Author, names, names_in
from tests.database.running import Run, sandboxed

_SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT max(i) FROM n",
    "postgresql": "SELECT pg_sleep(0.3)",
}


def test_a_transaction_that_cannot_begin_can_be_tried_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(engine: AsyncEngine) -> None:
        kind = type(choose_dialect(engine.dialect))
        begin = kind.begin
        failures = [ZeroDivisionError()]

        def fail_once(self: Any, real: Any, info: dict[Any, Any]) -> None:
            if failures:
                raise failures.pop()
            begin(self, real, info)

        with monkeypatch.context() as patch:
            patch.setattr(kind, "begin", fail_once)
            async with sandboxed(engine):
                with pytest.raises(ZeroDivisionError):
                    await names(engine)
                assert await names(engine) == []

    run(main)


def test_a_statement_that_does_not_come_to_an_end_is_waited_for_no_longer(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        sandbox = RollbackSandbox([engine], wait=0.02)
        sandbox.start()

        async def write() -> None:
            async with engine.connect() as connection:
                await connection.execute(insert(Author).values(name="Ann"))
                await connection.execute(text(_SLOW[engine.dialect.name]))

        task = asyncio.create_task(write())
        while len(sandbox.queries) < 2:
            await asyncio.sleep(0)
        await sandbox.stop()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        assert await names(engine) == []

    run(main)


def test_a_connection_that_the_collector_takes_after_the_end(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        connection = await engine.connect()
        await connection.execute(insert(Author).values(name="lost"))
        assert (await sandbox.stop()).escape is None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)
            del connection
            gc.collect()
        assert await names(engine) == []

    run(main)


def test_an_outer_transaction_that_the_collector_takes_takes_the_nested_one_with_it(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        sandbox = RollbackSandbox([engine], conflict="join")
        sandbox.start()
        outer = await engine.connect()
        await outer.execute(insert(Author).values(name="lost"))
        async with engine.connect() as inner:
            if engine.dialect.name == "sqlite":
                await inner.exec_driver_sql("PRAGMA query_only = OFF")
            await inner.execute(insert(Author).values(name="nested"))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SAWarning)
                del outer
                gc.collect()
            assert await names_in(inner) == ["lost", "nested"]
            await inner.commit()
        assert await names(engine) == []
        assert [record.outcome for record in sandbox.transactions][:2] == ["commit", "terminate"]
        await sandbox.stop()

    run(main)


def test_an_outer_transaction_may_end_before_a_nested_one_that_has_only_read(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with (
            sandboxed(engine, conflict="join"),
            engine.connect() as outer,
            engine.connect() as inner,
        ):
            await outer.execute(insert(Author).values(name="Ann"))
            assert await names_in(inner) == ["Ann"]
            await outer.commit()
            assert await names_in(inner) == ["Ann"]

    run(main)


def test_a_commit_after_a_failed_statement_is_what_it_is_without_a_sandbox(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine) as sandbox:
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name="before"))
            for _ in range(2):
                async with engine.connect() as connection:
                    with pytest.raises(DBAPIError):
                        await connection.execute(text("SELECT nothing FROM nowhere"))
                    await connection.commit()
            assert await names(engine) == ["before"]
            assert [record.writes for record in sandbox.commits] == [1]

    run(main)


def test_a_late_statement_says_that_it_is_late(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        connection = engine.connect()
        await connection.start()
        await sandbox.stop()
        with pytest.raises(SandboxError, match="after the test had ended"):
            await names_in(connection)
        await connection.close()

    run(main)
