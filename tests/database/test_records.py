from __future__ import annotations

import subprocess
import sys

import pytest

import pytest_uno.database
from pytest_uno.database.records import Statement, TransactionRecord, shorten
from pytest_uno.leaks.model import Frame

_SITE = Frame("app/shop.py", 7, "buy", "await session.commit()", True)


def test_texts() -> None:
    read = Statement("SELECT 1", "read", _SITE, "Task-1", 1)
    unknown = Statement("UPDATE a\n   SET x = 1", "write", None, "Task-1", 1)
    assert str(read) == "SELECT 1  (app/shop.py:7)"
    assert str(unknown) == "UPDATE a SET x = 1  (an unknown place)"
    record = TransactionRecord("rollback", 1, (read, unknown), ("a", "b"), "Task-1", _SITE, 3)
    assert str(record) == (
        "rollback of 1 write to a, b in 2 statements, connection #3 of task 'Task-1', opened at app/shop.py:7"
    )
    assert "commit of 0 writes in 1 statement," in str(
        TransactionRecord("commit", 0, (read,), (), "Task-1", None, 3)
    )
    assert len(shorten("SELECT " + "x" * 500)) == 100


def test_names_are_looked_up_when_they_are_used() -> None:
    code = (
        "import sys, pytest_uno.database as d; d.SandboxError; assert 'sqlalchemy' not in sys.modules;"
        "d.Statement; assert 'sqlalchemy' not in sys.modules; d.RollbackSandbox; assert 'sqlalchemy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert set(pytest_uno.database.__all__) <= set(dir(pytest_uno.database))
    for name in pytest_uno.database.__all__:
        assert getattr(pytest_uno.database, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        pytest_uno.database.nothing  # noqa: B018
