"""What the pool hands out instead of a DBAPI connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_uno.database.sandbox.cursor import SandboxCursor, StreamingCursor
from pytest_uno.database.sandbox.limits import two_phase_error, warn_of_limit

if TYPE_CHECKING:
    from pytest_uno.database.sandbox.checkout import Checkout
    from pytest_uno.database.sandbox.wire import Wire

__all__ = ["MySQLSandboxConnection", "SandboxConnection"]

_IGNORED = frozenset({"readonly", "deferrable", "read_only"})
_HARMLESS = frozenset({"", "READ COMMITTED", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"})


class SandboxConnection:
    """Stands for SQLAlchemy's adapter of a DBAPI connection: its commits and rollbacks end savepoints.

    Args:
        wire: the sandbox's connection.
        checkout: the state of this one.
    """

    __slots__ = ("__weakref__", "_checkout", "_wire")

    def __init__(self, wire: Wire, checkout: Checkout) -> None:
        object.__setattr__(self, "_wire", wire)
        object.__setattr__(self, "_checkout", checkout)

    if TYPE_CHECKING:
        _wire: Wire
        _checkout: Checkout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire.real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "isolation_level":
            self.set_isolation_level(value)
        elif name == "autocommit":
            self.set_autocommit(value)
        elif name not in _IGNORED:
            setattr(self._wire.real, name, value)

    # -- statements
    def cursor(self, *arguments: Any, **options: Any) -> SandboxCursor:
        """Return a cursor, see the DBAPI."""
        if self._wire.is_closed:
            return SandboxCursor(self._wire, self._checkout, None)  # it refuses what it is to execute
        real = self._wire.real.cursor(*arguments, **options)
        kind = StreamingCursor if getattr(real, "server_side", False) else SandboxCursor
        return kind(self._wire, self._checkout, real)

    def execute(self, operation: Any, *arguments: Any) -> SandboxCursor:
        """Execute a statement with a new cursor, as many DBAPI connections can."""
        cursor = self.cursor()
        cursor.execute(operation, *arguments)
        return cursor

    # -- transactions
    def commit(self) -> None:
        """Keep what was done for the rest of the test."""
        self._wire.finish(self._checkout, "commit")

    def rollback(self) -> None:
        """Undo what was done since the last commit."""
        self._wire.finish(self._checkout, "rollback")

    def close(self) -> None:
        """Undo what was not committed, and give the connection back."""
        self._checkout.is_closed = True
        self._wire.finish(self._checkout, "rollback")

    def terminate(self) -> None:
        """Give up the connection; the garbage collector may call this, outside of any greenlet."""
        if self._checkout.is_closed:
            return  # it was collected
        self._checkout.is_closed = True
        self._wire.finish(self._checkout, "terminate")

    def tpc_begin(self, *_: Any) -> None:
        """Refuse a transaction in two phases.

        Raises:
            SandboxError: always.
        """
        raise two_phase_error("tpc_begin()")

    # -- settings that would end the transaction
    @property
    def isolation_level(self) -> Any:
        """The driver's isolation level; None or "autocommit" where each statement is a transaction."""
        real = self._wire.real.isolation_level
        if self._checkout.is_autocommit:
            return "autocommit" if self._wire.has_named_levels else None
        return "" if real is None and not self._wire.has_named_levels else real

    @property
    def autocommit(self) -> Any:
        """Each statement is a transaction of its own."""
        return self._checkout.is_autocommit

    def set_isolation_level(self, level: Any) -> None:
        """Set the isolation level: only autocommit makes a difference on one connection."""
        if level == "autocommit" or (level is None and not self._wire.has_named_levels):
            self._checkout.is_autocommit = True
            return
        self._checkout.is_autocommit = False
        name = str(getattr(level, "name", level or "")).replace("_", " ").upper()
        if name not in _HARMLESS:
            warn_of_limit(
                f"isolation level {name}: the sandbox has one connection, on which levels make no difference"
            )

    def set_autocommit(self, value: Any) -> None:
        """Let each statement be a transaction of its own, or not."""
        self._checkout.is_autocommit = bool(value)

    def set_read_only(self, value: Any) -> None:
        """Do nothing: it would hold for all of the test."""

    def set_deferrable(self, value: Any) -> None:
        """Do nothing: it would hold for all of the test."""


class MySQLSandboxConnection(SandboxConnection):
    """The same for the drivers of MySQL and MariaDB, where `autocommit` is a method."""

    __slots__ = ()

    def autocommit(self, value: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Let each statement be a transaction of its own, or not."""
        self.set_autocommit(value)

    def get_autocommit(self) -> bool:
        """Say whether each statement is a transaction of its own."""
        return self._checkout.is_autocommit
