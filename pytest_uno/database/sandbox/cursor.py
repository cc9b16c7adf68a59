"""The cursors of the facade: what they execute goes over the wire of the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_uno.database.sandbox.checkout import Checkout
    from pytest_uno.database.sandbox.wire import Wire

__all__ = ["SandboxCursor", "StreamingCursor"]

_OWN = frozenset({"_checkout", "_real", "_wire"})


class SandboxCursor:
    """Stands for a cursor of SQLAlchemy's adapter.

    Args:
        wire: the sandbox's connection.
        checkout: whose cursor it is.
        real: the adapter's cursor; None if the test has ended, so that nothing will be executed.
    """

    __slots__ = ("_checkout", "_real", "_wire")

    def __init__(self, wire: Wire, checkout: Checkout, real: Any) -> None:
        object.__setattr__(self, "_wire", wire)
        object.__setattr__(self, "_checkout", checkout)
        object.__setattr__(self, "_real", real)

    if TYPE_CHECKING:
        _wire: Wire
        _checkout: Checkout
        _real: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._real is not None:
            setattr(self._real, name, value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._real)

    def __enter__(self) -> SandboxCursor:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def execute(self, operation: Any, *arguments: Any) -> Any:
        """Execute a statement, see the DBAPI."""
        return self._wire.run(self._checkout, self._real, "execute", operation, arguments)

    def executemany(self, operation: Any, *arguments: Any) -> Any:
        """Execute a statement for several sets of parameters, see the DBAPI."""
        return self._wire.run(self._checkout, self._real, "executemany", operation, arguments)

    def close(self) -> None:
        """Close the cursor, see the DBAPI."""
        if not self._wire.is_closed:
            self._real.close()


class StreamingCursor(SandboxCursor):
    """Stands for a cursor that lives in the database: each fetch goes over the wire as well."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        while (row := self.fetchone()) is not None:
            yield row

    def fetchone(self) -> Any:
        """Fetch a row, see the DBAPI."""
        return self._wire.fetch(self._checkout, self._real.fetchone)

    def fetchmany(self, size: int | None = None) -> Any:
        """Fetch some rows, see the DBAPI."""
        return self._wire.fetch(self._checkout, self._real.fetchmany, *(() if size is None else (size,)))

    def fetchall(self) -> Any:
        """Fetch the remaining rows, see the DBAPI."""
        return self._wire.fetch(self._checkout, self._real.fetchall)

    def close(self) -> None:
        """Close the cursor, see the DBAPI."""
        if self._wire.is_closed:
            return
        self._wire.fetch(self._checkout, self._real.close, closes=True)
