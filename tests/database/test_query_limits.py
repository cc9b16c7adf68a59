"""Limits on statements: what is counted, and how those that went over are shown."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_uno.database import SandboxError, Statement, TooManyQueriesError, TransactionRecord
from pytest_uno.database.query_limits import check_query_count, describe_queries
from pytest_uno.database.sandbox.journal import Journal
from pytest_uno.database.sandbox.observing import ObservingSandbox
from pytest_uno.database.uno_database import UnoDatabase
from pytest_uno.database.user_frames import UserFrames
from pytest_uno.leaks.model import Frame


class _Sandbox(ObservingSandbox):
    def __init__(self) -> None:
        super().__init__(Journal(UserFrames()))
        self.ended: list[TransactionRecord] = []
        self.sent: list[Statement] = []

    @property
    def transactions(self) -> tuple[TransactionRecord, ...]:
        return tuple(self.ended)

    @property
    def queries(self) -> tuple[Statement, ...]:
        return tuple(self.sent)


def _statement(sql: str, line: int | None = None) -> Statement:
    site = None if line is None else Frame("app.py", line, "load", "", True)
    return Statement(sql, "read", site, "Task-1", 1)


def _database(sandbox: _Sandbox) -> UnoDatabase:
    engine: Any = type("Engine", (), {"url": "sqlite://"})()
    factory: Any = None
    return UnoDatabase([engine], "rollback", sandbox, factory)


def test_statements_are_grouped_by_what_they_say() -> None:
    statements = [_statement("SELECT 1"), *(_statement("SELECT 2", line) for line in (3, 3, 4))]
    assert describe_queries(statements) == (
        "    3 x SELECT 2\n"
        "        at app.py:3 in load, 2 times\n"
        "        at app.py:4 in load\n"
        "    1 x SELECT 1\n"
        "        at an unknown place"
    )


@pytest.mark.parametrize(
    ("count", "end"), [(20, None), (21, "and 1 other statement"), (22, "and 2 other statements")]
)
def test_a_long_list_is_cut(count: int, end: str | None) -> None:
    text = describe_queries(_statement(f"SELECT {number}") for number in range(count))
    assert text.count(" x SELECT") == 20
    assert text.splitlines()[-1].strip() == (end or "at an unknown place")


@pytest.mark.parametrize("repeats", [True, False])
def test_repeated_statements_have_a_likely_cause(repeats: bool) -> None:
    statements = [_statement("SELECT 1"), _statement("SELECT 1" if repeats else "SELECT 2")]
    check_query_count(statements, 2, "the test")
    with pytest.raises(TooManyQueriesError, match="the test sent 2 statements, and may send 1") as caught:
        check_query_count(statements, 1, "the test")
    assert ("N+1" in str(caught.value)) is repeats


def test_a_block_counts_its_own_statements() -> None:
    sandbox = _Sandbox()
    database = _database(sandbox)
    sandbox.sent.append(_statement("SELECT 0"))
    with database.max_queries(1):
        sandbox.sent.append(_statement("SELECT 1"))
    with (
        pytest.raises(TooManyQueriesError, match="the block sent 1 statement, and may send 0"),
        database.max_queries(0),
    ):
        sandbox.sent.append(_statement("SELECT 2"))
    assert [statement.sql for statement in database.queries] == ["SELECT 0", "SELECT 1", "SELECT 2"]
    assert database.describe_queries().count(" x ") == 3


@pytest.mark.parametrize("limit", [-1, "3", 1.0, True])
def test_a_limit_is_a_whole_number(limit: Any) -> None:
    with (
        pytest.raises(SandboxError, match="not a number of statements"),
        _database(_Sandbox()).max_queries(limit),
    ):
        pass


def test_transactions_that_wrote_are_told_from_each_other() -> None:
    def record(outcome: Any, writes: int) -> TransactionRecord:
        return TransactionRecord(outcome, writes, (), (), "Task-1", None, 1)

    sandbox = _Sandbox()
    sandbox.ended = [
        record("commit", 1),
        record("commit", 0),
        record("rollback", 2),
        record("rollback", 0),
    ]
    database = _database(sandbox)
    assert [one.writes for one in database.transactions] == [1, 0, 2, 0]
    assert [one.writes for one in database.commits] == [1]
    assert [one.writes for one in database.discarded] == [2]
    assert repr(database) == "<UnoDatabase 'sqlite://' mode='rollback'>"
