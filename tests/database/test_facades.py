"""What stands for connections and cursors of the driver."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from pytest_uno.database.sandbox.checkout import Checkout
from pytest_uno.database.sandbox.facade import SandboxConnection
from tests.database.library import Author
from tests.database.running import Run, sandboxed


def test_other_attributes_are_those_of_the_real_connection() -> None:
    wire: Any = SimpleNamespace(real=SimpleNamespace(text_factory=str, readonly=False))
    connection: Any = SandboxConnection(wire, Checkout(1, [], is_autocommit=False))
    connection.text_factory = bytes
    connection.readonly = True
    assert wire.real.text_factory is connection.text_factory is bytes
    assert wire.real.readonly is False


def test_a_cursor_in_the_database_can_be_read_row_by_row(run: Run) -> None:
    def use(connection: Connection) -> None:
        dbapi: Any = connection.connection.dbapi_connection
        is_named = connection.dialect.driver == "psycopg"
        cursor = dbapi.cursor("rows") if is_named else dbapi.cursor(server_side=True)
        cursor.execute("SELECT name FROM authors ORDER BY name")
        assert cursor.fetchone() == ("a0",)
        assert [name for (name,) in cursor] == ["a1", "a2", "a3"]
        cursor.close()

    async def main(engine: AsyncEngine) -> None:
        async with sandboxed(engine), engine.connect() as connection:
            await connection.execute(insert(Author), [{"name": f"a{number}"} for number in range(4)])
            await connection.run_sync(use)

    run(main)
