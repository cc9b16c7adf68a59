"""The databases that the tests of the sandbox run on."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pytest_uno.database.settings import DatabaseSettings, new_run_id

__all__ = ["KINDS", "POSTGRES_KINDS", "Database"]

POSTGRES_KINDS = ("asyncpg", "psycopg") if os.environ.get("UNO_TEST_POSTGRES") == "1" else ()
"""Only where the environment promises a server; it is an error then when there is none."""

KINDS = ("sqlite-file", "sqlite-memory", *POSTGRES_KINDS)


@dataclass(frozen=True)
class Database:
    """One kind of database, with names that no other test uses.

    Attributes:
        kind: one of `KINDS`.
        url: of an empty database that is there.
        absent_url: of a database that is not there, on a server or in a folder that is.
        folder: the test's own folder.
    """

    kind: str
    url: str
    absent_url: str
    folder: Path
    run_id: str = field(default_factory=new_run_id)

    @property
    def is_sqlite(self) -> bool:
        return self.kind.startswith("sqlite")

    @property
    def driver(self) -> str:
        return "aiosqlite" if self.is_sqlite else self.kind

    def engine(self, **options: Any) -> AsyncEngine:
        """Make an engine of the empty database."""
        return create_async_engine(self.url, **options)

    def absent_engine(self, **options: Any) -> AsyncEngine:
        """Make an engine of the database that is not there."""
        return create_async_engine(self.absent_url, **options)

    def settings(self, **values: Any) -> DatabaseSettings:
        """Return settings with a run id of this test's own."""
        return DatabaseSettings(**{"run_id": self.run_id, "root": str(self.folder), **values})


def sqlite_database(kind: str, folder: Path) -> Database:
    """Return an SQLite database.

    Args:
        kind: `sqlite-file` or `sqlite-memory`.
        folder: where its file would be.
    """
    if kind == "sqlite-memory":
        return Database(kind, "sqlite+aiosqlite://", "sqlite+aiosqlite://", folder)
    return Database(
        kind,
        f"sqlite+aiosqlite:///{folder}/own.db",
        f"sqlite+aiosqlite:///{folder}/absent-{secrets.token_hex(3)}.db",
        folder,
    )


def postgres_database(kind: str, folder: Path, name: str, url: Callable[[str, str], str]) -> Database:
    """Return a PostgreSQL database.

    Args:
        kind: the driver.
        folder: the test's own folder.
        name: the name of the empty database.
        url: makes URLs from driver and name.
    """
    return Database(kind, url(kind, name), url(kind, f"absent_{secrets.token_hex(3)}"), folder)
