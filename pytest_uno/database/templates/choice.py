"""Choose the template for the database of some engines."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from pytest_uno.core.errors import SandboxError, compose_message
from pytest_uno.database.settings import DatabaseSettings
from pytest_uno.database.templates.template import Template

__all__ = ["make_template"]


def make_template(engines: Sequence[AsyncEngine], settings: DatabaseSettings) -> Template:
    """Return a template for engines that lead to one database; opens nothing.

    Args:
        engines: the application's engines, at least one.
        settings: the project's settings.

    Raises:
        SandboxError: there is no template for such a database, or the engines are of several kinds, or one connects
            with a function of its own.
    """
    names = {engine.dialect.name for engine in engines}
    if len(names) > 1:
        raise SandboxError(
            compose_message(
                f"the engines of uno_db_engine are of several databases: {', '.join(sorted(names))}",
                fix="name the engines of one database only, as a primary and its replica",
                anchor="database-kind",
            )
        )
    if names == {"sqlite"}:
        from pytest_uno.database.templates.sqlite import SQLiteTemplate

        return SQLiteTemplate(engines, settings)
    if names == {"postgresql"}:
        from pytest_uno.database.templates.postgresql import PostgreSQLTemplate

        return PostgreSQLTemplate(engines, settings)
    if names <= {"mysql", "mariadb"}:
        from pytest_uno.database.templates.mariadb import MariaDBTemplate

        return MariaDBTemplate(engines, settings)
    raise SandboxError(
        compose_message(
            f"there is no sandbox for {', '.join(names)}",
            fix="use SQLite, PostgreSQL or, as an experiment, MariaDB in tests, or set uno_db_mode = off",
            anchor="database-kind",
        )
    )
