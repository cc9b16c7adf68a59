"""MariaDB and MySQL through asyncmy: experimental."""

from __future__ import annotations

from typing import Any

from sqlalchemy.util import await_only

from pytest_uno.core.errors import SandboxEscapeError
from pytest_uno.database.dialects.base import GUARD, SandboxDialect, escape_error

__all__ = ["MariaDBSandbox"]

_LOST = 1305
"""The error number for a savepoint that does not exist."""


class MariaDBSandbox(SandboxDialect):
    """MariaDB: DDL commits by itself, so the sandbox refuses it."""

    ddl_commits = True

    def begin(self, real: Any, info: dict[Any, Any]) -> None:
        """Begin the outer transaction, see `SandboxDialect.begin`."""
        await_only(self.control(real, "START TRANSACTION", f"SAVEPOINT {GUARD}"))

    def end(self, real: Any) -> None:
        """Roll back, see `SandboxDialect.end`."""
        escape: SandboxEscapeError | None = None
        try:
            await_only(self.control(real, f"ROLLBACK TO SAVEPOINT {GUARD}"))
        except Exception as error:
            if not self.lost_savepoint(error):
                raise
            escape = escape_error(error)
        real.rollback()
        if escape is not None:
            raise escape

    async def control(self, real: Any, *statements: str) -> None:
        """Send statements one by one, see `SandboxDialect.control`."""
        async with real.driver_connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)

    def lost_savepoint(self, error: BaseException) -> bool:
        """Say whether a savepoint is gone."""
        return bool(error.args) and error.args[0] == _LOST
