"""Lead the connections of an application's engine to another database than its URL names.

The engine, its pool class, its options and its listeners stay the application's own: only the name of the database is
exchanged, at the last moment before the driver connects. So the database of the URL is never opened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

from pytest_uno.database.sqlalchemy_internals import put_first

__all__ = ["ConnectTarget", "Redirection", "current_target", "everything_leads_to", "leading_to"]


@dataclass(frozen=True, slots=True)
class ConnectTarget:
    """A database to connect to.

    Attributes:
        database: its name, or for SQLite its file; for MariaDB the empty text stands for none.
        is_uri: whether SQLite is to read the name as a URI.
    """

    database: str
    is_uri: bool = False

    def apply(self, dialect: Dialect, arguments: list[Any], options: dict[str, Any]) -> None:
        """Exchange the database in what a driver's `connect` is about to be called with.

        Args:
            dialect: whose driver it is.
            arguments: the positional arguments; changed in place.
            options: the named arguments; changed in place.
        """
        if dialect.name == "sqlite":
            arguments[:] = [self.database]
            options.pop("uri", None)
            if self.is_uri:
                options["uri"] = True
        elif dialect.name in ("mysql", "mariadb"):
            key = "db" if "db" in options or dialect.driver in ("asyncmy", "aiomysql") else "database"
            options.pop(key, None)
            if self.database:
                options[key] = self.database
        else:
            options["database" if dialect.driver in ("asyncpg", "pg8000") else "dbname"] = self.database


class _Changed:
    """What listeners have exchanged, to be put back: up to SQLAlchemy 2.0 an engine keeps the changes for good."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Dialect, list[Any], list[Any], dict[str, Any], dict[str, Any]]] = {}
        """By the identity of the dialect, which is kept with it. Where each connect has its own, the first is noted."""

    def note(self, dialect: Dialect, arguments: list[Any], options: dict[str, Any]) -> None:
        """Remember what a driver's `connect` would be called with, unless that was done before.

        Args:
            dialect: the engine's.
            arguments: the positional arguments.
            options: the named arguments.
        """
        found = (dialect, arguments, list(arguments), options, dict(options))
        self._found.setdefault(id(dialect), found)

    def put_back(self, dialect: Dialect) -> None:
        """Put back what was noted of an engine.

        Args:
            dialect: the engine's.
        """
        found = self._found.pop(id(dialect), None)
        if found is not None:
            _, arguments, old_arguments, options, old_options = found
            arguments[:] = old_arguments
            options.clear()
            options.update(old_options)

    def put_all_back(self) -> None:
        """Put back everything."""
        for dialect, *_ in list(self._found.values()):
            self.put_back(dialect)


current_target: ContextVar[ConnectTarget | None] = ContextVar("pytest_uno_connect_target", default=None)
"""Where connections of the current task lead that builds something; None in the application's tasks."""


@contextlib.contextmanager
def leading_to(target: ConnectTarget) -> Generator[None, None, None]:
    """Let the connections that the current task opens in redirected engines lead to a database.

    Args:
        target: the database.
    """
    token = current_target.set(target)
    try:
        yield
    finally:
        current_target.reset(token)


@contextlib.contextmanager
def everything_leads_to(target: ConnectTarget, dialect_name: str) -> Generator[None, None, None]:
    """Let the current task's connections lead to a database, whichever engine opens them.

    For code that makes an engine of its own, as the `env.py` of Alembic does.

    Args:
        target: the database.
        dialect_name: the engines that are meant: those of the same kind of database.
    """

    def redirect(dialect: Dialect, record: object, arguments: list[Any], options: dict[str, Any]) -> None:
        target = current_target.get()
        changed.put_back(dialect)
        if target is not None and dialect.name == dialect_name:
            changed.note(dialect, arguments, options)
            target.apply(dialect, arguments, options)

    changed = _Changed()
    event.listen(Engine, "do_connect", redirect)
    try:
        with leading_to(target):
            yield
    finally:
        event.remove(Engine, "do_connect", redirect)
        changed.put_all_back()


class Redirection:
    """The exchanged database of some engines.

    Args:
        engines: the engines.
        source: prepares the database and says which it is; called at each connect of a task that builds nothing.
    """

    def __init__(
        self, engines: Sequence[AsyncEngine], source: Callable[[], Awaitable[ConnectTarget]]
    ) -> None:
        self.source = source
        self._engines = tuple(engines)
        self._is_installed = False
        self._changed = _Changed()

    def install(self) -> None:
        """Begin to lead connections elsewhere; must not be called twice without `uninstall` in between."""
        self._is_installed = True
        for engine in self._engines:
            # First, so that a listener which connects by itself gets our database; last, so that none takes it back.
            event.listen(engine.sync_engine, "do_connect", self._redirect)
            put_first(engine.dialect, self._redirect)
            event.listen(engine.sync_engine, "do_connect", self._redirect_again)

    def uninstall(self) -> None:
        """Let connections go where the URL says."""
        if not self._is_installed:
            return
        self._is_installed = False
        for engine in self._engines:
            event.remove(engine.sync_engine, "do_connect", self._redirect)
            event.remove(engine.sync_engine, "do_connect", self._redirect_again)
        self._changed.put_all_back()

    def _redirect(
        self, dialect: Dialect, record: object, arguments: list[Any], options: dict[str, Any]
    ) -> None:
        target = current_target.get()
        if target is None:
            target = await_only(self.source())
        self._changed.note(dialect, arguments, options)
        target.apply(dialect, arguments, options)

    def _redirect_again(
        self, dialect: Dialect, record: object, arguments: list[Any], options: dict[str, Any]
    ) -> None:
        self._redirect(dialect, record, arguments, options)
