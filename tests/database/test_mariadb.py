"""The experimental dialect: what it sends, without a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from pytest_uno.core.errors import SandboxError, SandboxEscapeError
from pytest_uno.database.dialects.base import SandboxDialect
from pytest_uno.database.dialects.choice import choose_dialect
from pytest_uno.database.dialects.mariadb import MariaDBSandbox
from pytest_uno.database.dialects.sqlite import SQLiteSandbox
from pytest_uno.database.sandbox.checkout import Checkout
from pytest_uno.database.sandbox.facade import MySQLSandboxConnection
from tests.database.library import Author, names
from tests.database.running import Run, sandboxed


class _Cursor:
    def __init__(self, sent: list[str], error: Exception | None) -> None:
        self.sent = sent
        self.error = error

    async def __aenter__(self) -> _Cursor:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pass

    async def execute(self, statement: str) -> None:
        self.sent.append(statement)
        if self.error is not None and statement.startswith("ROLLBACK TO"):
            raise self.error


class _Connection:
    """Stands for SQLAlchemy's adapter and for the driver's connection."""

    def __init__(self, error: Exception | None = None) -> None:
        self.sent: list[str] = []
        self.error = error
        self.driver_connection = self

    def cursor(self) -> _Cursor:
        return _Cursor(self.sent, self.error)

    def rollback(self) -> None:
        self.sent.append("rollback()")


def _dialect() -> SandboxDialect:
    return choose_dialect(mysql.dialect())


def test_it_begins_and_ends_one_transaction() -> None:
    dialect, real = _dialect(), _Connection()
    assert isinstance(dialect, MariaDBSandbox)

    async def main() -> None:
        await greenlet_spawn(dialect.begin, real, {})
        await greenlet_spawn(dialect.end, real)

    asyncio.run(main())
    assert real.sent == [
        "START TRANSACTION",
        "SAVEPOINT uno_guard",
        "ROLLBACK TO SAVEPOINT uno_guard",
        "rollback()",
    ]
    assert dialect.quote("a") == "`a`"


@pytest.mark.parametrize(
    ("error", "expected"), [(Exception(1305, "no savepoint"), SandboxEscapeError), (OSError(), OSError)]
)
def test_a_lost_savepoint_is_an_escape(error: Exception, expected: type[Exception]) -> None:
    dialect, real = _dialect(), _Connection(error)

    async def main() -> None:
        with pytest.raises(expected):
            await greenlet_spawn(dialect.end, real)

    asyncio.run(main())


def test_autocommit_is_a_method_of_the_connection() -> None:
    wire: Any = None
    connection = MySQLSandboxConnection(wire, Checkout(1, [], is_autocommit=False))
    assert not connection.get_autocommit()
    connection.autocommit(True)
    assert connection.get_autocommit()


def test_what_a_dialect_need_not_care_about() -> None:
    dialect, real = _dialect(), _Connection()
    checkout = Checkout(1, [], is_autocommit=False)
    dialect.note(real, checkout, "SET x = 1")
    dialect.note_schema()
    dialect.read_settings(real, checkout)
    dialect.check_constraints(real, checkout)
    dialect.reset_sequences(real)
    assert list(dialect.after_commit(checkout)) == list(dialect.switch({}, checkout)) == []
    assert not dialect.is_spoiled(Exception())
    assert dialect.mark_writes(real, "SELECT f()") is None
    assert not dialect.has_written(real, 0)
    assert real.sent == []


def test_ddl_that_would_commit_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(engine: AsyncEngine) -> None:
        if engine.dialect.name != "sqlite":
            return
        monkeypatch.setattr(SQLiteSandbox, "ddl_commits", True)
        async with sandboxed(engine):
            async with engine.begin() as connection:
                with pytest.raises(SandboxError, match="commits by itself with DDL"):
                    await connection.execute(text("CREATE TABLE extra (id INTEGER)"))
                await connection.execute(insert(Author).values(name="Ann"))
            assert await names(engine) == ["Ann"]

    run(main)
