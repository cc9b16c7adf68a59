from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pytest_uno.database import RollbackSandbox, SandboxError, SandboxEscapeError
from tests.database.library import Author, names
from tests.database.running import Run, sandboxed


async def _driver(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


async def _commit_raw(connection: AsyncConnection) -> None:
    driver = await _driver(connection)
    if connection.dialect.driver == "asyncpg":
        await driver.execute("COMMIT")
    else:
        await driver.commit()


def test_a_raw_commit_is_found_at_the_end(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        connection = engine.connect()
        await connection.start()
        await connection.execute(insert(Author).values(name="escaped"))
        await _commit_raw(connection)
        end = await sandbox.stop()
        assert isinstance(end.escape, SandboxEscapeError)
        assert "transaction was ended inside the test" in str(end.escape)
        await connection.close()
        async with sandboxed(engine):  # the next test has a sandbox that works
            async with engine.begin() as connection:
                await connection.execute(insert(Author).values(name="Ann"))
            assert await names(engine) == ["Ann", "escaped"]
        assert await names(engine) == ["escaped"]

    run(main)


def test_a_raw_commit_is_found_by_the_next_commit(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        async with engine.connect() as connection:
            await connection.execute(insert(Author).values(name="escaped"))
            await _commit_raw(connection)
            with pytest.raises(SandboxEscapeError):
                await connection.commit()
        end = await sandbox.stop()
        assert isinstance(end.escape, SandboxEscapeError)
        assert await names(engine) == ["escaped"]

    run(main)


def test_a_script_of_the_driver_is_found(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        if engine.dialect.driver != "aiosqlite":
            return
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        async with engine.connect() as connection:
            driver = await _driver(connection)
            await driver.executescript("INSERT INTO authors (name) VALUES ('escaped');")
        end = await sandbox.stop()
        assert isinstance(end.escape, SandboxEscapeError)
        assert await names(engine) == ["escaped"]

    run(main)


def test_a_raw_rollback_is_found_too(run: Run) -> None:
    async def main(engine: AsyncEngine) -> None:
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        async with engine.connect() as connection:
            driver = await _driver(connection)
            if connection.dialect.driver == "asyncpg":
                await driver.execute("ROLLBACK")
            else:
                await driver.rollback()
        end = await sandbox.stop()
        assert isinstance(end.escape, SandboxEscapeError)

    run(main)


@pytest.mark.parametrize("statement", ["PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'"])
def test_two_phases_are_refused(run: Run, statement: str) -> None:
    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), engine.connect() as connection:
            with pytest.raises(SandboxError, match="two phases cannot be undone"):
                await connection.execute(text(statement))
            if engine.dialect.name == "postgresql":
                raw = (await connection.get_raw_connection()).dbapi_connection
                with pytest.raises(SandboxError, match=r"two phases .*tpc_begin"):
                    raw.tpc_begin("x")  # type: ignore[union-attr]

    run(main)
