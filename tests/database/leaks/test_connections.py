"""UNO302 and UNO303: connections that were not given back."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import warnings
from collections.abc import Callable
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import SAWarning
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pytest_uno.database.own_work import own_work
from pytest_uno.leaks.model import Finding
from pytest_uno.leaks.owners import Owner
from tests.leaks.conftest import Bench

LineOf = Callable[[Callable[..., object], str], int]

SELECT = text("SELECT 1")
KEPT: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_kept() -> Any:
    yield
    KEPT.clear()


def _drop(held: list[Any]) -> None:
    held.clear()
    gc.collect()


def rules(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


def test_an_open_transaction(bench: Bench, engine: AsyncEngine, line_of: LineOf) -> None:
    async def test() -> None:
        connection = engine.connect()  # made
        await connection.start()
        await connection.execute(SELECT)
        KEPT.append(connection)

    (finding,) = bench.run_test(test)
    assert (finding.rule, finding.subject, finding.target) == (
        "UNO302",
        "AsyncConnection with an open transaction",
        "AsyncConnection",
    )
    assert finding.created[0].line == line_of(test, "# made")
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_an_open_connection(bench: Bench, engine: AsyncEngine, line_of: LineOf) -> None:
    async def test() -> None:
        connection = await engine.connect()  # made
        await connection.execute(SELECT)
        await connection.commit()
        KEPT.append(connection)

    (finding,) = bench.run_test(test)
    assert (finding.rule, finding.subject) == ("UNO303", "AsyncConnection was not closed")
    assert finding.created[0].line == line_of(test, "# made")


@pytest.mark.parametrize("collects", [False, True])
def test_a_dropped_connection(bench: Bench, engine: AsyncEngine, line_of: LineOf, collects: bool) -> None:
    async def test() -> None:
        connection = await engine.connect()  # made
        await connection.execute(SELECT)
        del connection
        if collects:
            gc.collect()

    (finding,) = bench.run_test(test)
    assert (finding.rule, finding.subject, finding.target) == (
        "UNO303",
        "connection was not given back to its pool",
        "Connection",
    )
    assert finding.created[0].line == line_of(test, "# made")


def test_a_raw_connection(bench: Bench, engine: AsyncEngine) -> None:
    async def test() -> None:
        KEPT.append(await engine.raw_connection())

    (finding,) = bench.run_test(test)
    assert (finding.rule, finding.subject) == ("UNO303", "connection was not given back to its pool")


def test_the_warning_of_sqlalchemy_is_replaced(
    bench: Bench, engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        connection = await engine.connect()
        del connection
        gc.collect()

    with caplog.at_level(logging.DEBUG, "sqlalchemy.pool"), warnings.catch_warnings(record=True) as caught:
        assert rules(bench.run_test(test)) == ["UNO303"]
    assert caught == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_warning_that_is_expected_is_not_replaced(bench: Bench, engine: AsyncEngine) -> None:
    async def test() -> None:
        connection = await engine.connect()
        held = [connection]
        del connection
        with pytest.warns(SAWarning, match="garbage collector"):
            _drop(held)

    assert bench.run_test(test) == []


def test_a_connection_that_fails_to_reset_is_logged(
    bench: Bench, engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    @event.listens_for(engine.sync_engine, "reset")
    def fail(*_: Any) -> None:
        raise ValueError("of the user's listener")

    async def test() -> None:
        connection = await engine.connect()
        del connection
        gc.collect()

    assert rules(bench.run_test(test)) == ["UNO303"]
    assert "Exception during reset" in caplog.text
    event.remove(engine.sync_engine, "reset", fail)


async def _in_block(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(SELECT)
    async with engine.begin() as connection:
        await connection.execute(SELECT)
    KEPT.append(connection)


async def _closed(engine: AsyncEngine) -> None:
    connection = await engine.connect()
    await connection.execute(SELECT)
    raw = await connection.get_raw_connection()
    await connection.close()
    KEPT.extend([connection, raw])


async def _invalidated(engine: AsyncEngine) -> None:
    connection = await engine.connect()
    await connection.invalidate()
    KEPT.append(connection)


async def _never_started(engine: AsyncEngine) -> None:
    KEPT.append(engine.connect())


async def _synchronous(engine: AsyncEngine) -> None:
    other = create_engine("sqlite://")
    with other.connect() as connection:
        connection.execute(SELECT)
    other.dispose()


async def _streamed(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        async for _ in await connection.stream(SELECT):
            pass


async def _refused(engine: AsyncEngine) -> None:
    def refuse(*_: Any) -> None:
        raise ValueError("of the user's listener")

    event.listen(engine.sync_engine, "checkout", refuse)
    with pytest.raises(ValueError, match="listener"):
        await engine.connect()
    event.remove(engine.sync_engine, "checkout", refuse)


async def _of_the_sandbox(engine: AsyncEngine) -> None:
    with own_work():
        KEPT.append(await engine.connect())


@pytest.mark.parametrize(
    "use",
    [_in_block, _closed, _invalidated, _never_started, _synchronous, _streamed, _refused, _of_the_sandbox],
)
def test_look_alikes(bench: Bench, engine: AsyncEngine, use: Callable[[AsyncEngine], Any]) -> None:
    assert bench.run_test(lambda: use(engine)) == []
    for each in KEPT:
        if isinstance(each, AsyncConnection) and each.sync_connection is not None:
            bench.run_as(None, each.close)


def test_a_driver_that_cannot_be_terminated(
    bench: Bench, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.dialect, "has_terminate", False)
    threads = threading.active_count()

    async def test() -> None:
        connection = await engine.connect()
        del connection
        gc.collect()

    assert rules(bench.run_test(test)) == ["UNO303"]
    if hasattr(aiosqlite.Connection, "stop"):  # before aiosqlite 0.22 nobody could end its thread any more
        assert threading.active_count() == threads


def test_a_detached_connection_is_the_users(bench: Bench, engine: AsyncEngine) -> None:
    async def test() -> None:
        raw = await engine.raw_connection()
        adapter = raw.dbapi_connection
        raw.detach()
        KEPT.append(adapter.driver_connection)  # type: ignore[union-attr]
        async with engine.connect():
            pass

    assert bench.run_test(test) == []
    bench.run_as(None, KEPT[0].close)


def test_a_connection_of_a_wider_fixture(bench: Bench, engine: AsyncEngine) -> None:
    fixture = Owner("fixture", "connection", "module")

    async def set_up() -> AsyncConnection:
        return await engine.connect()

    connection: AsyncConnection = bench.run_as(fixture, set_up)

    async def test() -> None:
        await connection.execute(SELECT)

    assert bench.run_test(test, loop_ends=False) == []
    fixture.ended = True
    assert rules(bench.detection.drain()) == []  # asked for only where a value was held
    bench.detection.retain(fixture, connection)
    bench.detection.release(fixture)
    (finding,) = bench.detection.drain()
    assert (finding.rule, finding.owner.name) == ("UNO302", "connection")


def test_a_connection_that_a_wider_fixture_holds(bench: Bench, engine: AsyncEngine) -> None:
    fixture = Owner("fixture", "hub", "module")
    hub: list[Any] = []
    bench.detection.retain(fixture, hub)

    async def test() -> None:
        hub.append(await engine.connect())

    assert bench.run_test(test, loop_ends=False) == []
    assert bench.run_test(test, loop_ends=False) == []
    for connection in hub:
        bench.run_as(fixture, connection.close)


def test_another_thread_is_about_to_close_it(bench: Bench, engine: AsyncEngine) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        async def use() -> None:
            async with engine.connect():
                begun.set()
                await asyncio.to_thread(may_end.wait)

        asyncio.run(use())

    async def test() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        KEPT.append(thread)
        begun.wait()
        asyncio.get_running_loop().call_soon(may_end.set)

    assert "UNO303" not in rules(bench.run_test(test))
    KEPT[0].join()
