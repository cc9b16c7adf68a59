from __future__ import annotations

import pytest

from pytest_uno.database.statements import StatementKind, parse_statement


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT 1", StatementKind.READ),
        ("  -- a comment\n /* another */ (select 1)", StatementKind.READ),
        ("-- nothing else", StatementKind.WRITE),
        ("", StatementKind.WRITE),
        ("VALUES (1)", StatementKind.READ),
        ("SHOW work_mem", StatementKind.READ),
        ("EXPLAIN SELECT 1", StatementKind.READ),
        ("EXPLAIN DELETE FROM a", StatementKind.READ),
        ("EXPLAIN ANALYZE SELECT 1", StatementKind.READ),
        ("EXPLAIN (ANALYZE) DELETE FROM a", StatementKind.WRITE),
        ("SELECT * FROM a FOR UPDATE", StatementKind.LOCK),
        ("SELECT * FROM a FOR NO KEY UPDATE SKIP LOCKED", StatementKind.LOCK),
        ("SELECT * FROM a FOR SHARE", StatementKind.LOCK),
        ("SELECT * INTO b FROM a", StatementKind.WRITE),
        ("WITH x AS (SELECT 1) SELECT * FROM x", StatementKind.READ),
        ("WITH x AS (SELECT 1) SELECT * FROM a FOR UPDATE", StatementKind.LOCK),
        ("WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", StatementKind.WRITE),
        ("LOCK TABLE a", StatementKind.LOCK),
        ("INSERT INTO a VALUES (1)", StatementKind.WRITE),
        ("MERGE INTO a USING b ON TRUE WHEN MATCHED THEN DELETE", StatementKind.WRITE),
        ("COPY a FROM STDIN", StatementKind.WRITE),
        ("CALL work()", StatementKind.WRITE),
        ("START work", StatementKind.WRITE),
        ("CREATE TABLE a (id INTEGER)", StatementKind.DDL),
        ("TRUNCATE a", StatementKind.DDL),
        ("SET LOCAL work_mem = '1MB'", StatementKind.SESSION),
        ("PRAGMA foreign_keys", StatementKind.SESSION),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", StatementKind.ISOLATION),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", StatementKind.ISOLATION),
        ("SET TRANSACTION READ ONLY", StatementKind.READ_ONLY),
        ("SAVEPOINT a", StatementKind.SAVEPOINT),
        ("RELEASE SAVEPOINT a", StatementKind.RELEASE),
        ("ROLLBACK TO SAVEPOINT a", StatementKind.ROLLBACK_TO),
        ("ROLLBACK WORK TO a", StatementKind.ROLLBACK_TO),
        ("ROLLBACK", StatementKind.ROLLBACK),
        ("abort", StatementKind.ROLLBACK),
        ("COMMIT", StatementKind.COMMIT),
        ("END;", StatementKind.COMMIT),
        ("BEGIN", StatementKind.BEGIN),
        ("START TRANSACTION", StatementKind.BEGIN),
        ("BEGIN EXCLUSIVE", StatementKind.BEGIN_WRITE),
        ("NOTIFY a", StatementKind.NOTIFY),
        ("PREPARE TRANSACTION 'a'", StatementKind.TWO_PHASE),
        ("ROLLBACK PREPARED 'a'", StatementKind.TWO_PHASE),
        ("XA START 'a'", StatementKind.TWO_PHASE),
    ],
)
def test_kinds(sql: str, kind: StatementKind) -> None:
    assert parse_statement(sql).kind is kind


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT * FROM a", ()),
        ("INSERT INTO a (x) VALUES (1) ON CONFLICT DO UPDATE SET x = 2", ("a",)),
        ("INSERT OR IGNORE INTO a VALUES (1)", ("a",)),
        ('UPDATE ONLY "My Table" SET x = 1', ('"My Table"',)),
        ("DELETE FROM schema.a WHERE x IN (SELECT 1 FROM b)", ("schema.a",)),
        ("WITH x AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM x", ("a", "b")),
        ("CREATE TEMPORARY TABLE IF NOT EXISTS a (id INTEGER)", ("a",)),
        ("DROP TABLE IF EXISTS a", ("a",)),
        ("TRUNCATE TABLE a", ("a",)),
        ("CREATE INDEX i ON a (x)", ()),
    ],
)
def test_tables(sql: str, tables: tuple[str, ...]) -> None:
    assert parse_statement(sql).tables == tables


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("SAVEPOINT Sa_1", "sa_1"),
        ('RELEASE "Sa 1"', "Sa 1"),
        ("ROLLBACK TO SAVEPOINT `Sa`;", "Sa"),
        ("SELECT 1", None),
    ],
)
def test_names_of_savepoints(sql: str, name: str | None) -> None:
    assert parse_statement(sql).savepoint == name


def test_what_is_not_plain() -> None:
    assert parse_statement("SELECT 1").is_plain
    assert not parse_statement("SELECT pg_try_advisory_lock(1)").is_plain
    assert parse_statement("SELECT pg_advisory_lock(1)").limit is not None
    assert not parse_statement("CREATE TABLE a (id INTEGER)").is_plain
    assert not parse_statement("COMMIT").is_query
    assert parse_statement("BEGIN IMMEDIATE").is_exclusive
    assert not parse_statement("SELECT * FROM a FOR UPDATE").writes


@pytest.mark.parametrize(
    ("sql", "waits_not"),
    [
        ("SELECT 1 FROM jobs FOR UPDATE NOWAIT", True),
        ("select 1 from jobs for no key update\nskip  locked", True),
        ("LOCK TABLE jobs NOWAIT", True),
        ("SELECT 1 FROM jobs FOR UPDATE", False),
        ("SELECT nowait FROM jobs", False),
    ],
)
def test_what_does_not_wait_for_a_lock(sql: str, waits_not: bool) -> None:
    assert parse_statement(sql).waits_not is waits_not


@pytest.mark.parametrize("sql", ["PRAGMA query_only = ON", "SET TRANSACTION  READ ONLY"])
def test_what_makes_a_transaction_read_only_is_no_query(sql: str) -> None:
    parsed = parse_statement(sql)
    assert (parsed.kind, parsed.is_query, parsed.is_plain) == (StatementKind.READ_ONLY, False, True)
