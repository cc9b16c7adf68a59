"""What a statement does, read from its text: the sandbox has to know who writes, and who ends a transaction.

It need not be a parser. What is not known counts as a write, the safe side: a write makes its transaction exclusive.
"""

from __future__ import annotations

import enum
import functools
import re
from dataclasses import dataclass

__all__ = ["ParsedStatement", "StatementKind", "parse_statement"]

_TEXTS_KEPT = 2048


class StatementKind(enum.Enum):
    """What a statement does."""

    READ = "read"
    LOCK = "lock"
    """A read that locks rows or tables, as `FOR UPDATE`."""
    WRITE = "write"
    DDL = "ddl"
    SESSION = "session"
    """It changes or shows settings of the connection."""
    SAVEPOINT = "savepoint"
    RELEASE = "release"
    ROLLBACK_TO = "rollback to"
    BEGIN = "begin"
    BEGIN_WRITE = "begin write"
    """It begins a transaction that locks the database, as SQLite's `BEGIN IMMEDIATE`."""
    COMMIT = "commit"
    ROLLBACK = "rollback"
    NOTIFY = "notify"
    ISOLATION = "isolation"
    """It sets the isolation level, of the transaction or of all later ones."""
    READ_ONLY = "read only"
    """It begins or ends what the transactions of the core may only read in."""
    TWO_PHASE = "two-phase"


_QUERIES = frozenset(
    {
        StatementKind.READ,
        StatementKind.LOCK,
        StatementKind.WRITE,
        StatementKind.DDL,
        StatementKind.SESSION,
        StatementKind.NOTIFY,
        StatementKind.ISOLATION,
    }
)
_EXCLUSIVE = frozenset(
    {
        StatementKind.LOCK,
        StatementKind.WRITE,
        StatementKind.DDL,
        StatementKind.BEGIN_WRITE,
        StatementKind.NOTIFY,
    }
)
_PLAIN = frozenset(
    {
        StatementKind.READ,
        StatementKind.LOCK,
        StatementKind.WRITE,
        StatementKind.SESSION,
        StatementKind.READ_ONLY,
    }
)


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """What is known of a statement.

    Attributes:
        kind: what it does.
        tables: the tables that it writes, as far as the text tells.
        savepoint: the name of the savepoint that it makes, releases or goes back to.
        writes: it changes the database.
        is_exclusive: nobody else may use the connection from here to the end of its transaction.
        is_query: it is no control of transactions.
        is_plain: it can be sent as it is.
        waits_not: it fails or skips rows where it would have to wait for a lock.
        limit: what the sandbox cannot show of it; None if there is nothing.
    """

    kind: StatementKind
    tables: tuple[str, ...]
    savepoint: str | None
    writes: bool
    is_exclusive: bool
    is_query: bool
    is_plain: bool
    waits_not: bool
    limit: str | None


_LEAD = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/|[(;])*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_]+")
_LOCKING = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?(?:UPDATE|SHARE|KEY\s+SHARE)\b", re.IGNORECASE)
_WAITS_NOT = re.compile(r"\b(?:NOWAIT|SKIP\s+LOCKED)\b", re.IGNORECASE)
_INTO = re.compile(r"\bINTO\s+(?:TEMP(?:ORARY)?\s+|UNLOGGED\s+)?(?:TABLE\s+)?[\w\"]", re.IGNORECASE)
_DML = re.compile(
    r"\b(?:INSERT\s+INTO|(?<!FOR\s)(?<!KEY\s)UPDATE|DELETE\s+FROM|MERGE\s+INTO|REPLACE\s+INTO)\b",
    re.IGNORECASE,
)
_NAME = r"(?:[\w$]+|\"[^\"]+\"|`[^`]+`|\[[^\]]+\])"
_TABLE = re.compile(
    r"\b(?:INSERT(?:\s+OR\s+\w+)?\s+INTO|REPLACE\s+INTO|UPDATE(?:\s+OR\s+\w+)?(?:\s+ONLY)?|DELETE\s+FROM(?:\s+ONLY)?"
    r"|MERGE\s+INTO|COPY|TRUNCATE(?:\s+TABLE)?|(?:CREATE(?:\s+\w+){0,2}|DROP|ALTER)\s+TABLE(?:\s+IF\s+(?:NOT\s+)?EXISTS)?)"
    rf"\s+(?!SET\b)({_NAME}(?:\.{_NAME})*)",
    re.IGNORECASE,
)
_SAVEPOINT = re.compile(
    r"(?:SAVEPOINT|RELEASE(?:\s+SAVEPOINT)?|ROLLBACK(?:\s+(?:WORK|TRANSACTION))?\s+TO(?:\s+SAVEPOINT)?)"
    rf"\s+({_NAME})\s*;?\s*$",
    re.IGNORECASE,
)
_ROLLBACK_TO = re.compile(r"(?:ROLLBACK|ABORT)(?:\s+(?:WORK|TRANSACTION))?\s+TO\b", re.IGNORECASE)
_START_TRANSACTION = re.compile(r"START\s+TRANSACTION\b", re.IGNORECASE)
_WRITE_LOCK = re.compile(r"BEGIN\s+(?:IMMEDIATE|EXCLUSIVE)\b", re.IGNORECASE)
_PREPARE_TRANSACTION = re.compile(r"PREPARE\s+TRANSACTION\b", re.IGNORECASE)
_PREPARED = re.compile(r"(?:COMMIT|ROLLBACK)\s+PREPARED\b", re.IGNORECASE)
_ISOLATION = re.compile(
    r"SET\s+(?:(?:LOCAL|SESSION|GLOBAL)\s+)?(?:SESSION\s+CHARACTERISTICS\s+AS\s+)?TRANSACTION\s+ISOLATION\b",
    re.IGNORECASE,
)
_READ_ONLY = re.compile(r"(?:PRAGMA\s+QUERY_ONLY|SET\s+TRANSACTION\s+READ\s+ONLY)\b", re.IGNORECASE)
_ADVISORY = re.compile(r"\bpg_(?:try_)?advisory_|\bGET_LOCK\s*\(", re.IGNORECASE)
_ANALYZE = re.compile(r"\bANALY[SZ]E\b", re.IGNORECASE)

_BY_WORD = {
    **dict.fromkeys(("SHOW", "VALUES", "DESCRIBE", "DESC", "TABLE", "FETCH"), StatementKind.READ),
    **dict.fromkeys(
        ("SET", "RESET", "USE", "DEALLOCATE", "DISCARD", "ANALYZE", "PRAGMA"), StatementKind.SESSION
    ),
    **dict.fromkeys(
        ("CREATE", "DROP", "ALTER", "TRUNCATE", "RENAME", "REINDEX", "VACUUM", "GRANT", "REVOKE", "COMMENT"),
        StatementKind.DDL,
    ),
    **dict.fromkeys(("NOTIFY", "LISTEN", "UNLISTEN"), StatementKind.NOTIFY),
    "LOCK": StatementKind.LOCK,
    "SAVEPOINT": StatementKind.SAVEPOINT,
    "RELEASE": StatementKind.RELEASE,
    "END": StatementKind.COMMIT,
    "XA": StatementKind.TWO_PHASE,
}


@functools.lru_cache(maxsize=_TEXTS_KEPT)
def parse_statement(sql: str) -> ParsedStatement:
    """Tell what a statement does.

    Args:
        sql: its text; of several statements in one text the first decides.
    """
    lead = _LEAD.match(sql)
    assert lead is not None, "it matches the empty text"
    text = sql[lead.end() :]
    word = _WORD.match(text)
    kind = _kind_of(text, word.group().upper() if word else "")
    savepoint = _SAVEPOINT.match(text)
    writes = kind in (StatementKind.WRITE, StatementKind.DDL)
    limit = None
    if kind is StatementKind.NOTIFY:
        limit = "nobody is notified before a real COMMIT, which never comes"
    elif _ADVISORY.search(text):
        limit = "one connection never waits for its own advisory lock"
    return ParsedStatement(
        kind=kind,
        tables=tuple(dict.fromkeys(_TABLE.findall(text))) if writes else (),
        savepoint=_bare_name(savepoint.group(1)) if savepoint else None,
        writes=writes,
        is_exclusive=kind in _EXCLUSIVE,
        is_query=kind in _QUERIES,
        is_plain=kind in _PLAIN and limit is None,
        waits_not=kind is StatementKind.LOCK and _WAITS_NOT.search(text) is not None,
        limit=limit,
    )


def _kind_of(text: str, word: str) -> StatementKind:
    if word == "SELECT":
        if _LOCKING.search(text):
            return StatementKind.LOCK
        return StatementKind.WRITE if _INTO.search(text) else StatementKind.READ
    if word == "WITH":
        if _DML.search(text):
            return StatementKind.WRITE
        return StatementKind.LOCK if _LOCKING.search(text) else StatementKind.READ
    if word == "EXPLAIN":
        executes = _ANALYZE.search(text) and _DML.search(text)
        return StatementKind.WRITE if executes else StatementKind.READ
    if word in ("BEGIN", "START"):
        if word == "START" and not _START_TRANSACTION.match(text):
            return StatementKind.WRITE
        return StatementKind.BEGIN_WRITE if _WRITE_LOCK.match(text) else StatementKind.BEGIN
    if _ISOLATION.match(text):
        return StatementKind.ISOLATION
    if _READ_ONLY.match(text):
        return StatementKind.READ_ONLY
    if _PREPARED.match(text) or _PREPARE_TRANSACTION.match(text):
        return StatementKind.TWO_PHASE
    if word in ("ROLLBACK", "ABORT"):
        return StatementKind.ROLLBACK_TO if _ROLLBACK_TO.match(text) else StatementKind.ROLLBACK
    if word == "COMMIT":
        return StatementKind.COMMIT
    return _BY_WORD.get(word, StatementKind.WRITE)


def _bare_name(name: str) -> str:
    if name[0] in '"`[':
        return name[1:-1]
    return name.lower()
