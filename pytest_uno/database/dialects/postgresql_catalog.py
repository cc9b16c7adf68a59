"""What the sandbox asks the catalogue of PostgreSQL, and the texts that it looks for before it asks."""

from __future__ import annotations

import functools
import re
from typing import Any

__all__ = [
    "called_functions",
    "deferred_again",
    "execute",
    "has_deferrable",
    "literal",
    "sets_constraints",
    "setting",
    "volatile_functions",
    "written_rows",
]

_TEXTS_KEPT = 2048

_SET_CONSTRAINTS = re.compile(r"\s*SET\s+CONSTRAINTS\b", re.IGNORECASE)
_CALL = re.compile(r"""(\w+)"?\s*\(""")
_HARMLESS = frozenset(
    {
        "and",
        "any",
        "array",
        "as",
        "avg",
        "cast",
        "coalesce",
        "concat",
        "count",
        "current_setting",
        "date_trunc",
        "exists",
        "extract",
        "from",
        "in",
        "json_agg",
        "json_build_object",
        "jsonb_agg",
        "length",
        "lower",
        "max",
        "min",
        "not",
        "now",
        "nullif",
        "on",
        "or",
        "over",
        "row_number",
        "select",
        "string_agg",
        "sum",
        "upper",
        "using",
        "values",
        "where",
    }
)
"""Words that stand before a bracket in most statements, and call nothing of the user's."""

_DEFERRABLE = "SELECT 1 FROM pg_constraint WHERE condeferrable LIMIT 1"
_INITIALLY_DEFERRED = """
SELECT string_agg(DISTINCT format('%I.%I', nspname, conname), ', ')
FROM pg_constraint AS one JOIN pg_namespace AS space ON space.oid = one.connamespace
WHERE condeferred AND NOT EXISTS (
    SELECT 1 FROM pg_constraint AS other
    WHERE other.connamespace = one.connamespace AND other.conname = one.conname AND NOT other.condeferrable
)
"""
_VOLATILE = """
SELECT DISTINCT lower(proname) FROM pg_proc
WHERE provolatile = 'v' AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
AND pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
"""
_WRITTEN = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_catalog.pg_stat_xact_user_tables"


def execute(real: Any, sql: str) -> list[Any]:
    """Execute a statement by SQLAlchemy's adapter, which translates the driver's errors.

    Args:
        real: the adapter of the connection.
        sql: the statement.
    """
    cursor = real.cursor()
    try:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []
    finally:
        cursor.close()


def literal(text: str) -> str:
    """Return a text as an SQL literal.

    Args:
        text: the text.
    """
    return "'" + text.replace("'", "''") + "'"


def setting(real: Any, name: str) -> str:
    """Return the value of a setting; an empty text if there is none.

    Args:
        real: the adapter of the connection.
        name: the setting.
    """
    rows = execute(real, f"SELECT current_setting({literal(name)}, true)")
    return rows[0][0] or ""


def sets_constraints(sql: str) -> bool:
    """Say whether a statement is `SET CONSTRAINTS`.

    Args:
        sql: the statement.
    """
    return _SET_CONSTRAINTS.match(sql) is not None


def has_deferrable(real: Any) -> bool:
    """Say whether any constraint may be checked late.

    Args:
        real: the adapter of the connection.
    """
    return bool(execute(real, _DEFERRABLE))


def deferred_again(real: Any) -> str:
    """Return the statements after which each constraint is checked when a new transaction would check it.

    Args:
        real: the adapter of the connection.
    """
    ((names,),) = execute(real, _INITIALLY_DEFERRED)
    return "SET CONSTRAINTS ALL IMMEDIATE" + (f"; SET CONSTRAINTS {names} DEFERRED" if names else "")


@functools.lru_cache(maxsize=_TEXTS_KEPT)
def called_functions(sql: str) -> frozenset[str]:
    """Return the names of what a statement may call, in lower case, but for the most usual ones.

    Args:
        sql: the statement.
    """
    return frozenset(name.lower() for name in _CALL.findall(sql)) - _HARMLESS


def volatile_functions(real: Any) -> frozenset[str]:
    """Return the names of the database's own functions that may write.

    Args:
        real: the adapter of the connection.
    """
    return frozenset(name for (name,) in execute(real, _VOLATILE))


def written_rows(real: Any) -> int:
    """Return how many rows the outer transaction has written, whether that was undone or not.

    Args:
        real: the adapter of the connection.
    """
    ((count,),) = execute(real, _WRITTEN)
    return int(count)
