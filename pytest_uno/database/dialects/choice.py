"""Which dialect a database gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_uno.core.errors import SandboxError, compose_message

if TYPE_CHECKING:
    from sqlalchemy import Dialect

    from pytest_uno.database.dialects.base import SandboxDialect

__all__ = ["choose_dialect"]


def choose_dialect(dialect: Dialect) -> SandboxDialect:
    """Return what the sandbox has to know of a database.

    Args:
        dialect: SQLAlchemy's dialect.

    Raises:
        SandboxError: no sandbox for this kind of database.
    """
    if dialect.name == "sqlite":
        from pytest_uno.database.dialects.sqlite import SQLiteSandbox

        return SQLiteSandbox(dialect)
    if dialect.name == "postgresql":
        from pytest_uno.database.dialects.postgresql import PostgreSQLSandbox

        return PostgreSQLSandbox(dialect)
    if dialect.name in ("mysql", "mariadb"):
        from pytest_uno.database.dialects.mariadb import MariaDBSandbox

        return MariaDBSandbox(dialect)
    raise SandboxError(
        compose_message(
            f"no sandbox for the database {dialect.name!r} (driver {dialect.driver!r})",
            fix="use SQLite, PostgreSQL or MariaDB, or leave these tests alone: uno_db_mode = off",
            anchor="sandbox-unsupported",
        )
    )
