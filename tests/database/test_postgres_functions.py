"""Functions of PostgreSQL that write: a SELECT that calls one is no read."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from pytest_uno.database import SandboxConflict
from tests.database.library import names
from tests.database.running import Run, sandboxed

_FUNCTIONS = (
    "CREATE FUNCTION add_author(text) RETURNS integer LANGUAGE sql AS"
    " 'INSERT INTO authors (name) VALUES ($1) RETURNING id'",
    "CREATE FUNCTION count_authors() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM authors'",
)


@pytest.mark.parametrize("in_test", [False, True])
def test_a_function_that_writes_is_a_write(run_postgres: Run, in_test: bool) -> None:
    async def make(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            for function in _FUNCTIONS:
                await connection.execute(text(function))

    async def main(engine: AsyncEngine) -> None:
        if not in_test:
            await make(engine)
        async with sandboxed(engine, wait=0.1) as sandbox:
            if in_test:
                await make(engine)
            async with engine.connect() as one, engine.connect() as two:
                assert await one.scalar(text("SELECT count_authors() + abs(0)")) == 0
                assert await two.scalar(text("SELECT count_authors()")) == 0  # neither has written
                await one.execute(text("SELECT add_author('Ann')"))
                with pytest.raises(SandboxConflict):
                    await two.execute(text("SELECT 1"))
                await one.rollback()
                assert await names(engine) == []
                await one.execute(text("SELECT Add_Author ('Bob')"))
                await one.commit()
                assert await names(engine) == ["Bob"]
            assert [record.writes for record in sandbox.discarded] == [1]
            assert sandbox.commits[-1].writes == 1
        if not in_test:
            async with engine.begin() as connection:
                await connection.execute(text("DROP FUNCTION add_author, count_authors"))

    run_postgres(main)
