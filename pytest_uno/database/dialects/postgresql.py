"""PostgreSQL through asyncpg or psycopg 3."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from sqlalchemy.util import await_only

from pytest_uno.core.errors import SandboxEscapeError
from pytest_uno.database.dialects.base import GUARD, SandboxDialect, escape_error
from pytest_uno.database.dialects.postgresql_catalog import (
    called_functions,
    deferred_again,
    execute,
    has_deferrable,
    literal,
    sets_constraints,
    setting,
    volatile_functions,
    written_rows,
)

if TYPE_CHECKING:
    from sqlalchemy import Dialect

    from pytest_uno.database.sandbox.checkout import Checkout

__all__ = ["PostgreSQLSandbox"]

_LOCAL = re.compile(r"""\s*SET\s+LOCAL\s+(TIME\s+ZONE|[\w."]+)""", re.IGNORECASE)
_LOCAL_FUNCTION = re.compile(r"\bset_config\s*\(\s*'([\w.]+)'\s*,[^,]*,\s*true\b", re.IGNORECASE)
_LOST = frozenset({"3B001", "25P01"})
"""SQLSTATEs: there is no such savepoint; there is no transaction."""

_SPOILED = "25P02"
"""SQLSTATE: a statement of the transaction has failed."""

_KNOWN_DEFERRABLE = "pytest_uno.deferrable"
_KNOWN_FUNCTIONS = "pytest_uno.functions"
_CONSTRAINTS = "SET CONSTRAINTS"
"""Stands for a setting's name: what `SET CONSTRAINTS` says ends with the transaction as well."""

_CHECK = "uno_check"
_RESET_SEQUENCES = """
DO $$ DECLARE one record; BEGIN
FOR one IN SELECT schemaname, sequencename FROM pg_sequences WHERE last_value IS NOT NULL
LOOP EXECUTE format('ALTER SEQUENCE %I.%I RESTART', one.schemaname, one.sequencename); END LOOP;
END $$
"""


class PostgreSQLSandbox(SandboxDialect):
    """PostgreSQL: a statement that fails spoils its transaction, so that readers need a savepoint too."""

    reads_need_savepoint = True

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self.has_named_levels = dialect.driver == "asyncpg"
        self.survives_loop = dialect.driver == "psycopg"  # asyncpg has a transport, which is the loop's
        self._options = {} if self.has_named_levels else {"prepare": False}
        self._was_autocommit = False
        self._info: dict[Any, Any] = {}
        self._functions: frozenset[str] | None = None
        """Those of the database that may write; None if that is not known."""

    def begin(self, real: Any, info: dict[Any, Any]) -> None:
        """Begin the outer transaction, see `SandboxDialect.begin`."""
        self._info = info
        self._functions = info.get(_KNOWN_FUNCTIONS)
        self._was_autocommit = bool(real.autocommit)
        if self._was_autocommit:
            self.dialect.set_isolation_level(real, "READ COMMITTED")
        execute(real, f"SAVEPOINT {GUARD}")  # the adapter begins the transaction before it

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
        if self._was_autocommit:
            self.dialect.set_isolation_level(real, "AUTOCOMMIT")
        if escape is not None:
            raise escape

    async def control(self, real: Any, *statements: str) -> None:
        """Send statements in one go, see `SandboxDialect.control`."""
        await real.driver_connection.execute("; ".join(statements), **self._options)

    def check_constraints(self, real: Any, checkout: Checkout) -> None:
        """Check deferred constraints.

        Raises:
            Exception: the driver's IntegrityError.
        """
        if self.has_old_plans or _KNOWN_DEFERRABLE not in self._info:
            is_needed = has_deferrable(real)
            if not self.has_old_plans:
                self._info[_KNOWN_DEFERRABLE] = is_needed
        else:
            is_needed = self._info[_KNOWN_DEFERRABLE]
        if is_needed:
            await_only(self.control(real, f"SAVEPOINT {_CHECK}"))
            execute(real, "SET CONSTRAINTS ALL IMMEDIATE")
            # Back to the mode that each constraint had.
            await_only(self.control(real, f"ROLLBACK TO SAVEPOINT {_CHECK}", f"RELEASE SAVEPOINT {_CHECK}"))

    def after_commit(self, checkout: Checkout) -> Collection[str]:
        """Put back what SET LOCAL and SET CONSTRAINTS have changed."""
        return [_set(name, value, "false") for name, value in checkout.local_settings.items()]

    def note(self, real: Any, checkout: Checkout, sql: str) -> None:
        """Remember what a setting was before SET LOCAL, or a constraint before SET CONSTRAINTS."""
        if sets_constraints(sql):
            if _CONSTRAINTS not in checkout.local_settings:
                checkout.local_settings[_CONSTRAINTS] = deferred_again(real)
            checkout.unread_settings.append(_CONSTRAINTS)
            return
        match = _LOCAL.match(sql)
        if match is None and "set_config" in sql:
            match = _LOCAL_FUNCTION.search(sql)
        if match is None:
            return
        name = match.group(1).replace('"', "")
        if name.upper().startswith("TIME"):
            name = "TimeZone"
        if name.upper() in ("ROLE", "TRANSACTION"):
            return
        if name not in checkout.local_settings:
            checkout.local_settings[name] = setting(real, name)
        checkout.unread_settings.append(name)

    def read_settings(self, real: Any, checkout: Checkout) -> None:
        """Remember what SET LOCAL has set, see `SandboxDialect.read_settings`."""
        while checkout.unread_settings:
            name = checkout.unread_settings.pop()
            if name == _CONSTRAINTS:
                before = [checkout.local_values[name]] if name in checkout.local_values else []
                checkout.local_values[name] = "; ".join([*before, checkout.last_sql.rstrip("; \n")])
            else:
                checkout.local_values[name] = setting(real, name)

    def resume(self, checkout: Checkout) -> Collection[str]:
        """Set again what SET LOCAL and SET CONSTRAINTS have set."""
        return [_set(name, value, "true") for name, value in checkout.local_values.items()]

    def note_schema(self) -> None:
        """Forget what is known of the schema: it has changed for the rest of the test."""
        self.has_old_plans = True
        self._functions = None

    def mark_writes(self, real: Any, sql: str) -> int | None:
        """Count the rows that were written so far, if a function may write more, see `SandboxDialect.mark_writes`."""
        called = called_functions(sql)
        if not called:
            return None
        if self._functions is None:
            self._functions = volatile_functions(real)
            if not self.has_old_plans:
                self._info[_KNOWN_FUNCTIONS] = self._functions
        return None if called.isdisjoint(self._functions) else written_rows(real)

    def has_written(self, real: Any, mark: int) -> bool:
        """Count again."""
        return written_rows(real) != mark

    def lost_savepoint(self, error: BaseException) -> bool:
        """Say whether a savepoint is gone."""
        return getattr(error, "sqlstate", None) in _LOST

    def is_spoiled(self, error: BaseException) -> bool:
        """Say whether a statement has failed before."""
        return getattr(error, "sqlstate", None) == _SPOILED

    def reset_sequences(self, real: Any) -> None:
        """Let every sequence that was used begin anew, until the outer transaction is rolled back."""
        execute(real, _RESET_SEQUENCES)


def _set(name: str, value: str, is_local: str) -> str:
    if name == _CONSTRAINTS:
        return value
    return f"SELECT set_config({literal(name)}, {literal(value)}, {is_local})"
