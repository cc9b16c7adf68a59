"""Transactions that end one way or the other, whatever happens to the task.

**Ending.** COMMIT and ROLLBACK run in a task of their own, which nobody cancels, and the block is left when
that has ended; a cancellation that arrived meanwhile is raised then. `asyncio.shield` alone would let the
caller go on while the session is still at work, and a COMMIT that is interrupted half-way has an unknown
outcome. A block that ends with any exception, cancellation included, is rolled back.

**Which transaction.** SQLAlchemy opens one at the first statement ("autobegin"). A block that finds such an
open transaction adopts it: what was done before the block is committed or rolled back with it. Inside a
transaction that a block or a `begin()` owns, a block is a savepoint.

**Savepoints on SQLite.** The driver sends BEGIN with the first INSERT, UPDATE or DELETE. A SAVEPOINT before
that would itself open the transaction, and its RELEASE would be a COMMIT. So BEGIN is sent first.

**Read-only.** Changed objects are refused when flushed, and DML and DDL constructs before they are sent. Raw
SQL is refused by the database: PostgreSQL by SET TRANSACTION READ ONLY, which ends with the (sub)transaction;
SQLite by PRAGMA query_only, which belongs to the connection, and is put back before that is given up, also
when the block itself commits or rolls back. Such a transaction is committed, so that `expire_on_commit=False`
keeps its meaning. Other databases are not told; there the transaction is rolled back, so that nothing of it
stays.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, UnboundExecutionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, SessionTransactionOrigin
from sqlalchemy.schema import ExecutableDDLElement

from pytest_uno.core.closers import call_and_await
from pytest_uno.core.errors import ReadOnlyTransactionError, compose_message
from pytest_uno.core.transaction_managers import (
    create_read_transaction_manager,
    create_transaction_manager,
    create_write_transaction_manager,
    refuse_second_entry,
    transaction_manager,
)
from pytest_uno.core.uninterrupted import add_note_once, await_uninterrupted

__all__ = [
    "TransactionContext",
    "create_read_transaction_manager",
    "create_transaction_manager",
    "create_write_transaction_manager",
    "readonly_transaction",
    "transaction",
    "transaction_manager",
]

S = TypeVar("S")

_adopted: weakref.WeakSet[Any] = weakref.WeakSet()
"""The root transactions that a block has adopted: a block inside is a savepoint, as it is in an owned one."""


class transaction(Generic[S]):  # noqa: N801 - used like a function, as asyncio.timeout is
    """Run a block in a transaction: commit at its end, roll back if anything is raised in it.

    Nothing begun: a transaction is begun. Begun by SQLAlchemy's autobegin: that one is adopted, and committed
    at the end. Inside another block or `begin()`, and on a connection that is in a transaction: a savepoint.
    The session can be used on afterwards.

    COMMIT and ROLLBACK always run to their end: a block that is cancelled while it commits is committed, and
    the cancellation raised after that. A block that is cancelled before is rolled back. A COMMIT that fails
    is rolled back.

    Must be used once, and by one task; the task that ends the transaction is another one.

    Args:
        session: an `AsyncSession`, `async_scoped_session` or `AsyncConnection` of SQLAlchemy, or any object
            with `commit` and `rollback`, asynchronous or not. A session with several SQLite engines (`binds`)
            must not nest blocks before its first statement.

    Raises:
        RuntimeError: the block was entered already.
        asyncio.CancelledError: the task was cancelled.
        Exception: what the block raised, with a failure of its ROLLBACK as a note; or what COMMIT raised.

    Example:
        >>> async def transfer(session, source, target, amount):
        ...     async with transaction(session):
        ...         source.balance -= amount
        ...         target.balance += amount
    """

    def __init__(self, session: S) -> None:
        self.session = session
        self._entered = False
        self._block: Any = None  # the context manager of SQLAlchemy that we began
        self._root: Any = None  # the transaction that we adopted

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.session!r}>"

    @property
    def _subject(self) -> Any:
        """The session itself, where the user has a registry of sessions."""
        session: Any = self.session
        return cast("Any", session)() if isinstance(session, async_scoped_session) else session

    async def __aenter__(self) -> S:
        """Begin.

        Returns:
            The session.
        """
        refuse_second_entry(self, self._entered)
        self._entered = True
        subject = self._subject
        if isinstance(subject, (AsyncSession, AsyncConnection)):
            await self._begin(subject)
        return self.session

    async def _begin(self, subject: AsyncSession | AsyncConnection) -> None:
        if not subject.in_transaction():
            block: Any = subject.begin()
        elif isinstance(subject, AsyncSession) and self._adopt(subject):
            return
        else:
            await _begin_on_sqlite(subject)
            block = subject.begin_nested()
        await block.__aenter__()
        self._block = block

    def _adopt(self, session: AsyncSession) -> bool:
        root = session.sync_session.get_transaction()
        if (
            root is None
            or root.origin is not SessionTransactionOrigin.AUTOBEGIN
            or root in _adopted
            or session.in_nested_transaction()
        ):
            return False
        _adopted.add(root)
        self._root = root
        return True

    async def __aexit__(
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Commit, or roll back if the block raised."""
        await await_uninterrupted(self._end(exc))

    async def _end(self, exc: BaseException | None) -> None:
        if self._root is not None:
            _adopted.discard(self._root)
        if exc is None:
            await self._commit()
            return
        try:
            await self._roll_back(exc)
        except Exception as failure:  # what the block raised matters more
            add_note_once(exc, f"ROLLBACK failed as well: {failure!r}")

    async def _commit(self) -> None:
        if self._block is not None:
            await self._block.__aexit__(None, None, None)  # rolls back if that fails
            return
        try:
            await call_and_await(self._subject.commit)
        except BaseException as exc:
            try:
                await call_and_await(self._subject.rollback)
            except Exception as failure:
                add_note_once(exc, f"ROLLBACK failed as well: {failure!r}")
            raise

    async def _roll_back(self, exc: BaseException) -> None:
        if self._block is not None:
            await self._block.__aexit__(type(exc), exc, exc.__traceback__)
        else:
            await call_and_await(self._subject.rollback)


TransactionContext = transaction


async def _begin_on_sqlite(subject: AsyncSession | AsyncConnection) -> None:
    try:
        connection = subject if isinstance(subject, AsyncConnection) else await subject.connection()
    except UnboundExecutionError:  # several engines, chosen by statement
        return
    if connection.dialect.name == "sqlite":
        driver_connection = (await connection.get_raw_connection()).driver_connection
        if not getattr(driver_connection, "in_transaction", True):
            await connection.exec_driver_sql("BEGIN")


class readonly_transaction(transaction[S]):  # noqa: N801 - used like a function
    """Run a block in a transaction in which a write is an error.

    Changed objects are refused when they are flushed, INSERT, UPDATE and DELETE constructs and DDL when they
    are executed. Raw SQL is refused by the database, on PostgreSQL and SQLite; on others it takes no effect,
    because the block is rolled back at its end. Of an object that is not SQLAlchemy's nothing can be refused;
    it is rolled back, too.

    Otherwise as `transaction`; an outer transaction can write again after the block.

    Args:
        session: as for `transaction`.

    Raises:
        ReadOnlyTransactionError: the block wrote. If the database refused it, its error is raised inside of
            the block and is the cause of this one, which is raised at the block's end.
        RuntimeError: the block was entered already.

    Example:
        >>> async def load_report(session):
        ...     async with readonly_transaction(session):
        ...         return (await session.scalars(select(Order))).all()
    """

    def __init__(self, session: S) -> None:
        super().__init__(session)
        self._guard = _WriteGuard()

    async def _begin(self, subject: AsyncSession | AsyncConnection) -> None:
        await super()._begin(subject)
        try:
            if isinstance(subject, AsyncConnection):
                await subject.run_sync(self._guard.watch_connection)
                return
            # Only now: what an outer transaction had pending was its own to write, and begin_nested() has
            # done so.
            own = self._root if self._block is None else self._block.sync_transaction
            self._guard.watch_session(subject.sync_session, own)
            if self._root is not None:  # its connection has begun already
                with contextlib.suppress(UnboundExecutionError):  # several engines, chosen by statement
                    await (await subject.connection()).run_sync(self._guard.watch_connection)
        except BaseException as exc:
            await await_uninterrupted(self._end(exc))
            raise

    async def __aexit__(
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """End the transaction, and let writes through again."""
        await super().__aexit__(et, exc, tb)
        if isinstance(exc, DBAPIError) and _is_refused_write(exc):
            raise ReadOnlyTransactionError(_compose_refusal("the database refused a statement")) from exc

    async def _end(self, exc: BaseException | None) -> None:
        try:
            if self._guard.has_switches:
                await self._subject.run_sync(self._guard.switch_back)
            await super()._end(exc)
        finally:
            self._guard.release()

    async def _commit(self) -> None:
        subject = self._subject
        if isinstance(subject, (AsyncSession, AsyncConnection)) and not self._guard.is_on_trust:
            await super()._commit()
            return
        try:
            if isinstance(subject, AsyncSession):
                await subject.flush()  # to be refused, if there is anything
        finally:
            if self._block is None:
                await call_and_await(subject.rollback)
            else:
                await self._block.rollback()
                await self._block.__aexit__(None, None, None)


class _WriteGuard:
    """What keeps a block from writing, in the synchronous world of SQLAlchemy."""

    def __init__(self) -> None:
        self.is_on_trust = False  # there is a database that does not refuse writes itself
        self._outer: list[Any] = []  # transactions around ours, which may write
        self._listeners: list[tuple[Any, str, Callable[..., Any]]] = []
        self._watched: set[Connection] = set()
        self._query_only: dict[Connection, int] = {}  # SQLite: what the switch was before

    @property
    def has_switches(self) -> bool:
        """There are switches to be put back before the transaction ends."""
        return bool(self._query_only)

    def watch_session(self, session: Session, own: Any) -> None:
        """Refuse flushes, and watch the connections that begin from now on in a session's transaction."""
        parent = own.parent
        while parent is not None:
            self._outer.append(parent)
            parent = parent.parent
        self._listen(session, "before_flush", self._refuse_flush)
        self._listen(session, "after_begin", self._on_begin)

    def _on_begin(self, _session: Session, begun: Any, connection: Connection) -> None:
        # The first use of a connection in a savepoint begins the transactions around it, from the outside in.
        if begun not in self._outer:
            self.watch_connection(connection)

    def watch_connection(self, connection: Connection) -> None:
        """Have the database refuse writes, and refuse statements that are known to write."""
        if connection in self._watched:
            return
        self._watched.add(connection)
        self._listen(connection, "before_execute", self._refuse_statement)
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        elif connection.dialect.name == "sqlite":
            # For a block that ends the transaction itself: the pool must not get the connection back like
            # this.
            self._listen(connection, "commit", self._switch_back_connection)
            self._listen(connection, "rollback", self._switch_back_connection)
            self._query_only[connection] = _switch_query_only(connection, 1)
        else:
            self.is_on_trust = True

    def switch_back(self, _subject: object) -> None:
        """Let the connections write again, while they are still ours."""
        for connection in list(self._query_only):
            self._switch_back_connection(connection)

    def _switch_back_connection(self, connection: Connection) -> None:
        self._watched.discard(connection)
        before = self._query_only.pop(connection, None)
        if before is None or connection.closed or connection.invalidated:  # nobody will use those again
            return
        try:
            _switch_query_only(connection, before)
        except BaseException:
            connection.invalidate()
            raise

    def _refuse_flush(self, session: Session, _context: object, _instances: object) -> None:
        changed = [*session.new, *session.deleted, *filter(session.is_modified, session.dirty)]
        if changed:
            raise ReadOnlyTransactionError(_compose_refusal(f"{changed[0]!r} is new, changed or deleted"))

    def _refuse_statement(self, _connection: Connection, statement: Any, *_parameters: Any) -> None:
        if getattr(statement, "is_dml", False) or isinstance(statement, ExecutableDDLElement):
            raise ReadOnlyTransactionError(_compose_refusal(f"{type(statement).__name__} was to be executed"))

    def _listen(self, target: Any, name: str, listener: Callable[..., Any]) -> None:
        event.listen(target, name, listener)
        self._listeners.append((target, name, listener))

    def release(self) -> None:
        """Stop watching."""
        while self._listeners:
            event.remove(*self._listeners.pop())


def _switch_query_only(connection: Connection, value: int) -> int:
    """Switch SQLite's query_only, past SQLAlchemy, for which all may be over; return what it was."""
    cursor: Any = connection.connection.cursor()
    try:
        cursor.execute("PRAGMA query_only")
        before = int(cursor.fetchone()[0])
        cursor.execute(f"PRAGMA query_only = {value}")
    finally:
        cursor.close()
    return before


def _is_refused_write(error: DBAPIError) -> bool:
    origin = error.orig
    if getattr(origin, "sqlite_errorcode", 0) & 0xFF == 8:  # SQLITE_READONLY and its extended codes
        return True
    # 25006 is read_only_sql_transaction; psycopg calls the attribute sqlstate, asyncpg's adapter both
    return "25006" in (getattr(origin, "sqlstate", None), getattr(origin, "pgcode", None))


def _compose_refusal(what: str) -> str:
    return compose_message(
        f"a write in a read-only transaction: {what}",
        cause="the code under the block writes, or an object was changed before it",
        fix="use transaction() where something is to be written",
        anchor="read-only-transaction",
    )
