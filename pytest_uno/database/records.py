"""What happened in a sandbox, as plain data: statements, transactions, what its end has shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pytest_uno.core.errors import SandboxEscapeError
from pytest_uno.leaks.model import Frame

__all__ = ["Outcome", "SandboxEnd", "Statement", "TransactionRecord"]

Outcome: TypeAlias = Literal["commit", "rollback", "failed", "terminate"]
"""How a transaction ended; "failed" is a commit that the database refused, "terminate" a connection that was given up
in mid-statement or taken by the garbage collector."""

_SQL_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement that a test sent.

    Attributes:
        sql: its text, as the driver got it.
        kind: what it does, as "read" or "write"; the values of `StatementKind`.
        site: the line of the user's code that issued it; None if no such line was on the stack.
        task: the name of the task that issued it.
        connection: the number of the connection, from 1 in each test.
    """

    sql: str
    kind: str
    site: Frame | None
    task: str
    connection: int

    def __str__(self) -> str:
        return f"{shorten(self.sql)}  ({show_place(self.site)})"


@dataclass(frozen=True, slots=True)
class TransactionRecord:
    """One transaction of a test, from its first statement to its end.

    Attributes:
        outcome: how it ended.
        writes: how many of its statements write.
        statements: its statements, without those that control transactions.
        tables: the tables that were written, in the order of their first write.
        task: the name of the task that used it last.
        site: the line of the user's code that took the connection from the pool.
        connection: the number of the connection, from 1 in each test.
    """

    outcome: Outcome
    writes: int
    statements: tuple[Statement, ...]
    tables: tuple[str, ...]
    task: str
    site: Frame | None
    connection: int

    def __str__(self) -> str:
        writes = f"{self.writes} write{'' if self.writes == 1 else 's'}"
        tables = f" to {', '.join(self.tables)}" if self.tables else ""
        return (
            f"{self.outcome} of {writes}{tables} in {len(self.statements)} statement"
            f"{'' if len(self.statements) == 1 else 's'}, "
            f"connection #{self.connection} of task {self.task!r}, opened at {show_place(self.site)}"
        )


@dataclass(frozen=True, slots=True)
class SandboxEnd:
    """What the end of a sandbox has shown.

    Attributes:
        escape: set if the test has ended the outer transaction, so that what it wrote may have stayed.
    """

    escape: SandboxEscapeError | None


def show_place(site: Frame | None) -> str:
    """Return a place as file:line.

    Args:
        site: the place.
    """
    return "an unknown place" if site is None else f"{site.file}:{site.line}"


def shorten(sql: str) -> str:
    """Return SQL in one line of bounded length.

    Args:
        sql: the text.
    """
    line = " ".join(sql.split())
    return line if len(line) <= _SQL_SHOWN else line[: _SQL_SHOWN - 3] + "..."
