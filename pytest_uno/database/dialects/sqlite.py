"""SQLite through aiosqlite: one thread that runs what it is given in order."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from sqlalchemy.util import await_only

from pytest_uno.database.dialects.base import GUARD, SandboxDialect, escape_error

if TYPE_CHECKING:
    from sqlalchemy import Dialect

    from pytest_uno.database.sandbox.checkout import Checkout

__all__ = ["SQLiteSandbox"]

_SETTING = re.compile(r"\s*PRAGMA\s+(query_only|defer_foreign_keys)\s*(?:=|\()\s*['\"]?(\w+)", re.IGNORECASE)
_ON = frozenset({"1", "on", "true", "yes"})
_HAS_DEFERRED = "SELECT 1 FROM sqlite_master WHERE sql LIKE '%DEFERRABLE%INITIALLY%DEFERRED%' LIMIT 1"
_KNOWN = "pytest_uno.deferred"
"""Of a connection: whether its schema has deferred foreign keys and enforces them."""


class SQLiteSandbox(SandboxDialect):
    """SQLite.

    The real connection has no isolation level while the sandbox has it, so that the driver neither begins nor commits
    anything by itself: one explicit transaction for every way in which the application may have set it up.
    """

    is_loop_bound = False

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self._isolation_level: str | None = None
        self._begins_by_itself = False
        self._info: dict[Any, Any] = {}
        self._has_new_schema = False

    def begin(self, real: Any, info: dict[Any, Any]) -> None:
        """Begin the outer transaction, see `SandboxDialect.begin`."""
        driver = real.driver_connection
        self._info = info
        self._isolation_level = real.isolation_level
        if driver.in_transaction:
            real.rollback()
        real.isolation_level = None
        self._begins_by_itself = driver.in_transaction  # as `autocommit=False` does
        if not self._begins_by_itself:
            await_only(self.control(real, "BEGIN"))
        await_only(self.control(real, f"SAVEPOINT {GUARD}"))

    def end(self, real: Any) -> None:
        """Roll back, see `SandboxDialect.end`."""
        driver = real.driver_connection
        escape = None
        try:
            await_only(self.control(real, f"ROLLBACK TO {GUARD}"))
        except Exception as error:
            escape = escape_error(error)
        try:
            real.rollback()
            # With `autocommit=True` the driver's own rollback does nothing.
            if driver.in_transaction and not self._begins_by_itself:
                await_only(self.control(real, "ROLLBACK"))
        finally:
            real.isolation_level = self._isolation_level
        if escape is not None:
            raise escape

    async def control(self, real: Any, *statements: str) -> None:
        """Send statements, each in one go to the thread, see `SandboxDialect.control`."""
        driver = real.driver_connection
        for statement in statements:
            await driver.execute_fetchall(statement)

    def check_constraints(self, real: Any, checkout: Checkout) -> None:
        """Check deferred foreign keys, which SQLite checks at the outermost commit only.

        Raises:
            Exception: the driver's IntegrityError.
        """
        driver = real.driver_connection
        if self._has_new_schema or _KNOWN not in self._info:
            enforces = bool(await_only(_rows(driver, "PRAGMA foreign_keys"))[0][0])
            has_deferred = enforces and bool(await_only(_rows(driver, _HAS_DEFERRED)))
            known = (enforces, has_deferred)
            if not self._has_new_schema:
                self._info[_KNOWN] = known
        else:
            known = self._info[_KNOWN]
        enforces, has_deferred = known
        if not has_deferred and not (enforces and "defer_foreign_keys" in checkout.local_settings):
            return
        if await_only(_rows(driver, "PRAGMA foreign_key_check")):
            error: type[Exception] = self.dialect.loaded_dbapi.IntegrityError
            raise error("FOREIGN KEY constraint failed")

    def after_commit(self, checkout: Checkout) -> Collection[str]:
        """Put back what ends with a transaction, see `SandboxDialect.after_commit`."""
        if "defer_foreign_keys" in checkout.local_settings:
            return ("PRAGMA defer_foreign_keys = 0",)
        return ()

    def note(self, real: Any, checkout: Checkout, sql: str) -> None:
        """Keep `PRAGMA query_only` to the connection that set it, and `defer_foreign_keys` to the transaction."""
        match = _SETTING.match(sql)
        if match is None:
            return
        is_on = match.group(2).lower() in _ON
        if match.group(1).lower() == "query_only":
            checkout.settings["query_only"] = "1" if is_on else "0"
        elif is_on:
            checkout.local_settings["defer_foreign_keys"] = "0"

    def note_schema(self) -> None:
        """Forget what is known of the schema: it has changed for the rest of the test."""
        self._has_new_schema = True

    def switch(self, real_settings: dict[str, str], checkout: Checkout | None) -> Collection[str]:
        """Set `PRAGMA query_only` as the next user has it."""
        wanted = "0" if checkout is None else checkout.settings.get("query_only", "0")
        if real_settings.get("query_only", "0") == wanted:
            return ()
        real_settings["query_only"] = wanted
        return (f"PRAGMA query_only = {wanted}",)

    def lost_savepoint(self, error: BaseException) -> bool:
        """Say whether a savepoint is gone."""
        return "no such savepoint" in str(error)


async def _rows(driver: Any, sql: str) -> list[Any]:
    return list(await driver.execute_fetchall(sql))
