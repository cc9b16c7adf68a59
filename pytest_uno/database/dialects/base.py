"""The face of a dialect: how to begin and end the outer transaction, and what a database does differently."""

# ruff: noqa: B027  (a database overrides what it does differently; the others do nothing there)

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_uno.core.errors import SandboxEscapeError, compose_message

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Dialect

    from pytest_uno.database.sandbox.checkout import Checkout

__all__ = ["GUARD", "SandboxDialect", "escape_error", "failed_end_error"]

GUARD = "uno_guard"
"""The savepoint that is there at the end of a test unless somebody has ended the outer transaction."""


class SandboxDialect(ABC):
    """One kind of database. The real connection is SQLAlchemy's adapter of a DBAPI connection.

    Methods that are no coroutine functions must be called in a greenlet of SQLAlchemy.

    Args:
        dialect: SQLAlchemy's dialect.

    Attributes:
        reads_need_savepoint: a statement that fails makes the transaction unusable until it is rolled back.
        ddl_commits: DDL ends the transaction.
        is_loop_bound: a connection can be used by one event loop at a time only.
        survives_loop: a connection can be used by another loop once its own is closed.
        has_old_plans: a connection that serves the next test remembers a schema which is rolled back.
        has_named_levels: the driver's isolation level for autocommit is the name "autocommit", not None.
    """

    reads_need_savepoint: ClassVar[bool] = False
    ddl_commits: ClassVar[bool] = False
    is_loop_bound: ClassVar[bool] = True

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.has_named_levels = False
        self.survives_loop = not self.is_loop_bound
        self.has_old_plans = False

    @abstractmethod
    def begin(self, real: Any, info: dict[Any, Any]) -> None:
        """Begin the outer transaction and set the guard savepoint.

        Args:
            real: the real connection, outside of a transaction.
            info: what may be remembered of it; lives as long as the connection.
        """

    @abstractmethod
    def end(self, real: Any) -> None:
        """Roll the outer transaction back and leave the connection as it was before `begin`.

        Args:
            real: the real connection.

        Raises:
            SandboxEscapeError: the guard savepoint is gone.
        """

    @abstractmethod
    async def control(self, real: Any, *statements: str) -> None:
        """Send statements that control savepoints, past SQLAlchemy.

        Args:
            real: the real connection.
            statements: what to send, in one go where the driver can.
        """

    def check_constraints(self, real: Any, checkout: Checkout) -> None:
        """Check the constraints that a real COMMIT would check.

        Args:
            real: the real connection.
            checkout: whose transaction is about to be committed.

        Raises:
            Exception: the driver's error for a constraint that does not hold.
        """

    def after_commit(self, checkout: Checkout) -> Collection[str]:
        """Return the statements that put back what ends with a transaction.

        Args:
            checkout: whose transaction was committed.
        """
        return ()

    def quote(self, name: str) -> str:
        """Return a name as an identifier.

        Args:
            name: the name.
        """
        return self.dialect.identifier_preparer.quote_identifier(name)

    def note(self, real: Any, checkout: Checkout, sql: str) -> None:
        """Note what a statement that reads or changes settings is going to do beyond its result.

        Args:
            real: the real connection.
            checkout: who sends it.
            sql: its text.
        """

    def read_settings(self, real: Any, checkout: Checkout) -> None:
        """Remember what the settings are that a statement has just set for its transaction.

        Args:
            real: the real connection.
            checkout: who sent it.
        """

    def resume(self, checkout: Checkout) -> Collection[str]:
        """Return the statements that set again what a transaction has set for itself before it gave way.

        Args:
            checkout: whose it is.
        """
        return ()

    def mark_writes(self, real: Any, sql: str) -> int | None:
        """Take the measure of what was written, before a read that may write by a function.

        Args:
            real: the real connection.
            sql: the statement.

        Returns:
            What `has_written` is to be given after it; None if it cannot write.
        """
        return None

    def has_written(self, real: Any, mark: int) -> bool:
        """Say whether anything was written since.

        Args:
            real: the real connection.
            mark: what `mark_writes` has returned.
        """
        return False

    def note_schema(self) -> None:
        """Note that the schema changes, for the rest of the test."""

    def switch(self, real_settings: dict[str, str], checkout: Checkout | None) -> Collection[str]:
        """Return the statements that give the connection the settings of its next user.

        Args:
            real_settings: the settings in force; to be brought up to date.
            checkout: the next user; None for nobody.
        """
        return ()

    @abstractmethod
    def lost_savepoint(self, error: BaseException) -> bool:
        """Say whether an error means that a savepoint of ours does not exist any more.

        Args:
            error: what the driver raised.
        """

    def is_spoiled(self, error: BaseException) -> bool:
        """Say whether an error means that the transaction can only be rolled back.

        Args:
            error: what the driver raised.
        """
        return False

    def reset_sequences(self, real: Any) -> None:
        """Let every sequence begin anew.

        Args:
            real: the real connection, in the outer transaction.
        """


def escape_error(cause: BaseException | None = None) -> SandboxEscapeError:
    """Return the error for an outer transaction that somebody has ended.

    Args:
        cause: what showed it.
    """
    error = SandboxEscapeError(
        compose_message(
            "the sandbox's transaction was ended inside the test, so what the test wrote before may have stayed "
            "in the database",
            cause="commit(), rollback() or executescript() of the driver's own connection, or a statement that commits "
            "by itself",
            fix="end transactions through SQLAlchemy, or give this test a database of its own: "
            "uno_async(db='snapshot')",
            anchor="sandbox-escape",
        )
    )
    error.__cause__ = cause
    return error


def failed_end_error(cause: BaseException) -> SandboxEscapeError:
    """Return the error for an outer transaction of which nobody knows whether it was rolled back.

    Args:
        cause: what went wrong.
    """
    error = SandboxEscapeError(
        compose_message(
            f"the sandbox's transaction could not be rolled back, so what the test wrote may have stayed in the "
            f"database: {cause!r}",
            cause="the test has closed or broken the connection",
            fix="leave the connection of the driver alone, or give this test a database of its own: "
            "uno_async(db='snapshot')",
            anchor="sandbox-escape",
        )
    )
    error.__cause__ = cause
    return error
