"""What real connections do, seen through the events of SQLAlchemy: statements, transactions, who has one taken.

The events of an engine reach those that `execution_options()` has made of it only where the engine had listeners at
that moment; what such an engine does meanwhile is done, but not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from pytest_uno.database.callers import calling_task
from pytest_uno.database.sandbox.checkout import Checkout, SentStatement
from pytest_uno.database.sandbox.journal import Journal
from pytest_uno.database.sqlalchemy_internals import invalidate_taken
from pytest_uno.database.statements import StatementKind, parse_statement

__all__ = ["ObservedConnections"]


class ObservedConnections:
    """Notes what the connections of some engines do.

    Args:
        journal: where it is noted.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._out: dict[int, Checkout] = {}
        """By the identity of the connection. One that the garbage collector took stays here, with the pool's entry."""
        self._committing: set[int] = set()
        """Connections that have been told to commit, and not used since: whether it failed is not known yet."""
        self._count = 0
        self._listening: list[tuple[Any, str, Callable[..., Any]]] = []

    def listen(self, engines: Sequence[AsyncEngine], pools: Sequence[Pool]) -> None:
        """Begin to observe.

        Args:
            engines: the engines.
            pools: the pools that they use.
        """
        for engine in engines:
            self._add(engine.sync_engine, "before_cursor_execute", self._before_execute)
            self._add(engine.sync_engine, "after_cursor_execute", self._after_execute)
            self._add(engine.sync_engine, "handle_error", self._on_error)
            for name in ("commit", "commit_twophase"):
                self._add(engine.sync_engine, name, self._on_commit)
            for name in ("rollback", "rollback_twophase"):
                self._add(engine.sync_engine, name, self._on_rollback)
        for pool in pools:
            self._add(pool, "checkout", self._on_checkout)
            self._add(pool, "checkin", self._on_checkin)
            self._add(pool, "invalidate", self._on_invalidate)

    def stop_listening(self) -> None:
        """Observe no more."""
        for target, name, listener in self._listening:
            event.remove(target, name, listener)
        self._listening.clear()

    def settle(self) -> None:
        """Note the commits that are over: whoever asks for transactions has seen them return."""
        for key in list(self._committing):
            self._end_commit(key)

    def invalidate_open(self) -> None:
        """Close what is taken from the pools at once; must be called in a greenlet."""
        for checkout in list(self._out.values()):
            invalidate_taken(checkout.record)

    def _add(self, target: Any, name: str, listener: Callable[..., Any]) -> None:
        event.listen(target, name, listener)
        self._listening.append((target, name, listener))

    # -- pools
    def _on_checkout(self, connection: Any, record: ConnectionPoolEntry, fairy: object) -> None:
        self._count += 1
        checkout = Checkout(self._count, self._journal.frames.capture(), is_autocommit=False)
        checkout.task_name = _task_name()
        checkout.record = record
        self._out[id(connection)] = checkout

    def _on_checkin(self, connection: Any, record: ConnectionPoolEntry) -> None:
        self._end_commit(id(connection))
        checkout = self._out.pop(id(connection), None)
        if checkout is not None:
            self._journal.note_end(checkout, "rollback")

    def _on_invalidate(
        self, connection: Any, record: ConnectionPoolEntry, exception: BaseException | None
    ) -> None:
        self._end_commit(id(connection))
        checkout = self._out.pop(id(connection), None)
        if checkout is not None:
            self._journal.note_end(checkout, "terminate")

    # -- engines
    def _before_execute(
        self, connection: Connection, cursor: Any, sql: str, parameters: Any, context: Any, executemany: bool
    ) -> None:
        real, checkout = self._find(connection)
        if checkout is None:
            return
        self._end_commit(id(real))
        statement = parse_statement(sql)
        if statement.kind in (StatementKind.BEGIN, StatementKind.BEGIN_WRITE):
            checkout.in_block = True
        if not statement.is_query:
            return
        checkout.task_name = _task_name()
        checkout.is_autocommit = _is_autocommit(real)
        sent = SentStatement(
            sql, statement.kind.value, self._journal.frames.capture(), checkout.task_name, checkout.number
        )
        self._journal.note_statement(checkout, sent)
        if statement.writes:
            checkout.writes += 1
            checkout.tables.update(dict.fromkeys(statement.tables))

    def _after_execute(
        self, connection: Connection, cursor: Any, sql: str, parameters: Any, context: Any, executemany: bool
    ) -> None:
        _, checkout = self._find(connection)
        if checkout is None:
            return
        kind = parse_statement(sql).kind
        if kind is StatementKind.ROLLBACK:
            self._journal.note_end(checkout, "rollback")
        elif kind is StatementKind.COMMIT or (checkout.is_autocommit and not checkout.in_block):
            self._journal.note_end(checkout, "commit")

    def _on_commit(self, connection: Connection, *further: object) -> None:
        real, checkout = self._find(connection)
        if checkout is not None and checkout.statements:
            self._committing.add(id(real))

    def _on_rollback(self, connection: Connection, *further: object) -> None:
        real, checkout = self._find(connection)
        if checkout is not None:
            self._end_commit(id(real))
            self._journal.note_end(checkout, "rollback")

    def _on_error(self, context: ExceptionContext) -> None:
        if context.connection is None or context.statement is not None:
            return
        real, checkout = self._find(context.connection)
        if checkout is not None and id(real) in self._committing:
            self._committing.discard(id(real))
            self._journal.note_end(checkout, "failed")

    def _find(self, connection: Connection) -> tuple[Any, Checkout | None]:
        real = None if connection.invalidated or connection.closed else connection.connection.dbapi_connection
        return real, self._out.get(id(real))

    def _end_commit(self, key: int) -> None:
        if key in self._committing:
            self._committing.discard(key)
            self._journal.note_end(self._out[key], "commit")


def _is_autocommit(connection: Any) -> bool:
    """Say whether a driver's connection commits each statement by itself."""
    return (
        connection.autocommit is True
        if hasattr(connection, "autocommit")
        else (getattr(connection, "isolation_level", "") in (None, "autocommit"))
    )


def _task_name() -> str:
    task = calling_task()
    return "" if task is None else task.get_name()
