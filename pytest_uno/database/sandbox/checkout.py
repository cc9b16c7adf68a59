"""What the sandbox remembers of one connection that the application has taken from the pool."""

from __future__ import annotations

import asyncio
from typing import Any

from pytest_uno.database.user_frames import Site

__all__ = ["Checkout", "SentStatement"]


class SentStatement:
    """A statement as it was sent: what a `Statement` is made of when somebody asks for it."""

    __slots__ = ("connection", "kind", "site", "sql", "task")

    def __init__(self, sql: str, kind: str, site: Site, task: str, connection: int) -> None:
        self.sql = sql
        self.kind = kind
        self.site = site
        self.task = task
        self.connection = connection


class Checkout:
    """One connection as the application sees it, and the state of its transaction.

    Attributes:
        number: counted from 1 in each test.
        site: where it was taken from the pool.
        record: the pool's entry.
        task: the task that used it last.
        task_name: its name.
        is_busy: a call is under way, on the wire or waiting for it.
        is_closed: it was given back.
        is_autocommit: each statement is a transaction of its own.
        in_block: a raw BEGIN was sent, so that nothing is committed before a COMMIT.
        savepoint: the name of its savepoint in the real connection, while there is one.
        is_exclusive: its transaction has written or locked something.
        has_failed: its last statement has failed, which some databases punish until a rollback.
        savepoints: the names of the savepoints that the application has set in it, the outermost first, each with
            the number of writes before it.
        writes: its statements that write, since its transaction began.
        tables: the tables that were written.
        statements: all of its statements.
        local_settings: what settings that end with the transaction were before.
        local_values: what they are.
        unread_settings: those that were set by the statement under way.
        settings: settings of the connection that the sandbox switches with its user.
        last_sql: the statement that was sent last.
        last_site: where that came from.
    """

    __slots__ = (
        "has_failed",
        "in_block",
        "is_autocommit",
        "is_busy",
        "is_closed",
        "is_exclusive",
        "last_site",
        "last_sql",
        "local_settings",
        "local_values",
        "number",
        "record",
        "savepoint",
        "savepoints",
        "settings",
        "site",
        "statements",
        "tables",
        "task",
        "task_name",
        "unread_settings",
        "writes",
    )

    def __init__(self, number: int, site: Site, *, is_autocommit: bool) -> None:
        self.number = number
        self.site = site
        self.record: Any = None
        self.task: asyncio.Task[Any] | None = None
        self.task_name = ""
        self.is_busy = False
        self.is_closed = False
        self.is_autocommit = is_autocommit
        self.savepoint: str | None = None
        self.settings: dict[str, str] = {}
        self.last_sql = ""
        self.last_site: Site = []
        self.reset()

    def reset(self) -> None:
        """Forget the transaction, which has ended."""
        self.in_block = False
        self.is_exclusive = False
        self.has_failed = False
        self.savepoints: list[tuple[str, int]] = []
        self.writes = 0
        self.tables: dict[str, None] = {}
        self.statements: list[SentStatement] = []
        self.local_settings: dict[str, str] = {}
        self.local_values: dict[str, str] = {}
        self.unread_settings: list[str] = []
