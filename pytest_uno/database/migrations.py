"""Run Alembic's migrations on a template."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Generator
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine

from pytest_uno.core.errors import SandboxError, compose_message
from pytest_uno.database.templates.redirection import ConnectTarget, everything_leads_to

__all__ = ["migrate"]


async def migrate(path: str, root: str, engine: AsyncEngine, target: ConnectTarget) -> None:
    """Upgrade a database to the newest revision.

    It runs in a thread, because an asynchronous `env.py` calls `asyncio.run()`. Whichever engine that file makes, of
    whatever URL, its connections lead to the template.

    Args:
        path: the `alembic.ini`.
        root: the folder that the path is relative to.
        engine: the application's engine.
        target: the database to upgrade.

    Raises:
        SandboxError: Alembic is not installed, or there is no such file.
        Exception: what a migration raised.
    """
    try:
        from alembic import command
        from alembic.config import Config
    except ImportError as exc:
        raise SandboxError(
            compose_message(
                f"uno_db_schema = alembic:{path}: Alembic is not installed",
                fix="install alembic, or let uno_db_metadata make the tables",
                anchor="database-schema",
            )
        ) from exc
    config = Config(_existing(path, root))
    if not _names_database(config.get_main_option("sqlalchemy.url")):
        url = engine.url.render_as_string(hide_password=False)
        config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    with everything_leads_to(target, engine.dialect.name), _kept_logging():
        await asyncio.to_thread(command.upgrade, config, "head")


def _existing(path: str, root: str) -> str:
    file = os.path.join(root, path)
    if not os.path.isfile(file):
        raise SandboxError(
            compose_message(
                f"uno_db_schema = alembic:{path}: there is no file {file}",
                fix="name the alembic.ini, relative to pytest's root folder",
                anchor="database-schema",
            )
        )
    return file


def _names_database(url: str | None) -> bool:
    """Say whether the URL in `alembic.ini` is more than the placeholder that `alembic init` writes."""
    if not url:
        return False
    try:
        return make_url(url).drivername != "driver"
    except ArgumentError:
        return False


@contextlib.contextmanager
def _kept_logging() -> Generator[None, None, None]:
    """Undo what the `fileConfig` call of an `env.py` does: it silences every logger that is there."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    loggers: list[Any] = [logging.getLogger(name) for name in list(root.manager.loggerDict)]
    before = [
        (logger, logger.disabled, logger.level, logger.propagate, list(logger.handlers)) for logger in loggers
    ]
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for logger, disabled, own_level, propagate, own_handlers in before:
            logger.disabled, logger.propagate = disabled, propagate
            logger.setLevel(own_level)
            logger.handlers[:] = own_handlers
