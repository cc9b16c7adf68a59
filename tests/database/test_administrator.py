from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from pytest_uno.core.errors import SandboxError
from pytest_uno.database.templates.administrator import Administrator
from pytest_uno.database.templates.redirection import ConnectTarget, Redirection
from tests.database.databases import Database

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("visible_administrator")]

_MODULE = "pytest_uno.database.templates.administrator"


async def _nowhere() -> ConnectTarget:
    raise AssertionError("only the administrator connects")


async def _nothing() -> None:
    pass


@contextlib.asynccontextmanager
async def _administrator(database: Database) -> AsyncIterator[Administrator]:
    engine = database.absent_engine()
    redirection = Redirection([engine], _nowhere)
    redirection.install()
    administrator = Administrator(engine, engine.sync_engine.pool)
    try:
        yield administrator
    finally:
        await administrator.stop()
        redirection.uninstall()


def _own_name(database: Database) -> str:
    return database.url.rpartition("/")[2].partition("?")[0]


async def test_it_must_be_started() -> None:
    engine = create_async_engine("sqlite+aiosqlite://")
    administrator = Administrator(engine, engine.sync_engine.pool)
    with pytest.raises(RuntimeError, match="not started"):
        await administrator.run(_nothing)
    await administrator.stop()


async def test_statements_return_rows_or_nothing(postgres: Database) -> None:
    async with _administrator(postgres) as administrator:
        await administrator.start()
        assert await administrator.run(lambda: administrator.execute("SELECT 1, 'one'")) == [(1, "one")]
        assert await administrator.run(lambda: administrator.execute("SET statement_timeout = 0")) == []


async def test_an_error_of_the_server_reaches_the_caller(postgres: Database) -> None:
    async with _administrator(postgres) as administrator:
        await administrator.start()
        with pytest.raises(Exception, match="no_such_table"):
            await administrator.run(lambda: administrator.execute("SELECT * FROM no_such_table"))
        assert await administrator.run(lambda: administrator.execute("SELECT 2")) == [(2,)]


async def test_it_connects_to_the_database_that_is_there(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{_MODULE}._USUAL_DATABASE", "absent_for_certain")
    monkeypatch.setattr(f"{_MODULE}._LAST_DATABASE", _own_name(postgres))
    async with _administrator(postgres) as administrator:
        await administrator.start()
        found = await administrator.run(lambda: administrator.execute("SELECT current_database()"))
        assert found == [(_own_name(postgres),)]


async def test_a_server_without_a_database_to_connect_to_is_an_error(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{_MODULE}._USUAL_DATABASE", "absent_for_certain")
    monkeypatch.setattr(f"{_MODULE}._LAST_DATABASE", "absent_as_well")
    async with _administrator(postgres) as administrator:
        with pytest.raises(SandboxError, match=r"cannot be reached.*absent_as_well"):
            await administrator.start()
        with pytest.raises(RuntimeError, match="not started"):
            administrator.submit(_nothing)


async def test_who_waits_is_told_when_it_is_stopped(postgres: Database) -> None:
    async with _administrator(postgres) as administrator:
        await administrator.start()
        begun = threading.Event()

        async def hang() -> None:
            begun.set()
            await asyncio.get_running_loop().create_future()

        result = administrator.submit(hang)
        assert begun.wait(10)
        await administrator.stop()
        with pytest.raises(RuntimeError, match="was stopped"):
            await asyncio.wrap_future(result)


async def test_work_that_nobody_wants_any_more_is_not_begun(postgres: Database) -> None:
    async with _administrator(postgres) as administrator:
        await administrator.start()
        go_on = threading.Event()
        called: list[Any] = []

        async def occupy() -> None:
            go_on.wait(10)

        async def note() -> None:
            called.append(None)

        occupied, unwanted = administrator.submit(occupy), administrator.submit(note)
        assert unwanted.cancel()
        go_on.set()
        await asyncio.wrap_future(occupied)
        await administrator.run(_nothing)
        assert called == []
