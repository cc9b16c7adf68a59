"""When the detectors of the database look, and when they do not."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool, base

from pytest_uno.database.leaks.detector import DatabaseLeaks
from pytest_uno.leaks.detection import LeakDetection


def run(source: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr


PRELUDE = """
    import asyncio, sys
    from pathlib import Path
    from pytest_uno.database.leaks.detector import DatabaseLeaks
    from pytest_uno.leaks.detection import LeakDetection
    from pytest_uno.leaks.owners import OWNER, Owner
    detection = LeakDetection(root=Path.cwd(), others=[DatabaseLeaks])
    detection.install()
    loop = asyncio.new_event_loop()
    detection.watch_loop(loop)
    def run(test):
        owner = Owner("test", "test")
        snapshot = detection.snapshot(owner)
        token = OWNER.set(owner)
        loop.run_until_complete(test())
        OWNER.reset(token)
        owner.ended = True
        return [finding.rule for finding in detection.compare(snapshot, loop, loop_ends=False)]
"""


def test_it_imports_no_sqlalchemy() -> None:
    run(
        f"""{PRELUDE}
    async def test(): pass
    assert run(test) == []
    detection.remove()
    loop.close()
    assert "sqlalchemy" not in sys.modules
    """
    )


def test_it_begins_with_the_first_test_after_the_import() -> None:
    run(
        f"""{PRELUDE}
    async def imports():
        import sqlalchemy.ext.asyncio
    async def leaks():
        from sqlalchemy import text
        from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
        engine = create_async_engine("sqlite+aiosqlite://")
        async with AsyncSession(engine) as session:
            await session.execute(text("SELECT 1"))
    assert run(imports) == []
    assert run(leaks) == ["UNO304"]
    detection.remove()
    loop.close()
    """
    )


@pytest.fixture
def detection() -> LeakDetection:
    return LeakDetection(root=Path.cwd(), others=[DatabaseLeaks])


PATCHED = [
    (AsyncSession, "__init__"),
    (AsyncConnection, "__init__"),
    (Engine, "__init__"),
    (base, "_finalize_fairy"),
]


def test_what_is_patched_is_put_back(detection: LeakDetection) -> None:
    before = [getattr(owner, name) for owner, name in PATCHED]
    listeners = [
        len(getattr(Pool.dispatch, name)._clslevel.get(Pool, ())) for name in ("checkout", "connect")
    ]
    detection.install()
    patched = [getattr(owner, name) for owner, name in PATCHED]
    assert all(new is not old for new, old in zip(patched, before, strict=True))
    for new, old in zip(patched, before, strict=True):
        assert (new.__name__, new.__doc__) == (old.__name__, old.__doc__)
        assert inspect.signature(new) == inspect.signature(old)
    detection.install()
    detection.remove()
    assert [getattr(owner, name) for owner, name in PATCHED] == before
    assert [
        len(getattr(Pool.dispatch, name)._clslevel.get(Pool, ())) for name in ("checkout", "connect")
    ] == listeners


def test_removal_without_sqlalchemy(detection: LeakDetection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sqlalchemy.ext.asyncio")
    before = AsyncSession.__init__
    detection.install()
    assert AsyncSession.__init__ is before
    detection.remove()


def test_listeners_of_the_user_stay(detection: LeakDetection) -> None:
    def listener(*_: object) -> None: ...

    event.listen(Session, "after_begin", listener)
    detection.install()
    detection.remove()
    assert event.contains(Session, "after_begin", listener)
    event.remove(Session, "after_begin", listener)
