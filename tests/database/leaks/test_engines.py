"""UNO304: engines that were not disposed of."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool, StaticPool

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


IS_CLOSED_WHEN_COLLECTED = hasattr(aiosqlite.Connection, "stop")
"""Since aiosqlite 0.22; before, the thread of a connection that the garbage collector takes runs on."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/own.db"


def _drop(held: list[Any]) -> None:
    held.clear()
    gc.collect()


def rules(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


async def use(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(SELECT)


@pytest.mark.parametrize("collects", [False, True])
@pytest.mark.parametrize("keeps", [False, True])
def test_an_engine_with_idle_connections(
    bench: Bench, url: str, line_of: LineOf, keeps: bool, collects: bool
) -> None:
    async def test() -> None:
        engine = create_async_engine(url)  # made
        async with engine.connect(), engine.connect():
            pass
        if keeps:
            KEPT.append(engine)
        del engine
        if collects:
            gc.collect()

    threads = threading.active_count()
    (finding,) = bench.run_test(test)
    assert (finding.rule, finding.subject, finding.target) == (
        "UNO304",
        "AsyncEngine with open connections was not disposed of",
        "AsyncEngine",
    )
    assert finding.created[0].line == line_of(test, "# made")
    gc.collect()
    if not collects or keeps or IS_CLOSED_WHEN_COLLECTED:
        assert threading.active_count() == threads


def test_an_engine_in_memory(bench: Bench) -> None:
    async def test() -> None:
        engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
        await use(engine)
        KEPT.append(engine)

    assert rules(bench.run_test(test)) == ["UNO304"]


def test_a_reported_engine_can_be_used_again(bench: Bench, url: str) -> None:
    async def test() -> None:
        KEPT.append(create_async_engine(url))
        await use(KEPT[0])

    async def later() -> None:
        await use(KEPT[0])
        await KEPT[0].dispose()

    assert rules(bench.run_test(test)) == ["UNO304"]
    assert bench.run_test(later) == []


def test_a_session_explains_its_own_connection(bench: Bench, url: str) -> None:
    async def test(*, idle: bool) -> None:
        engine = create_async_engine(url)
        session = AsyncSession(engine)
        await session.execute(SELECT)
        if idle:
            await use(engine)
        KEPT.extend([engine, session])

    assert rules(bench.run_test(lambda: test(idle=False))) == ["UNO301"]
    assert rules(bench.run_test(lambda: test(idle=True))) == ["UNO301", "UNO304"]


async def _disposed(url: str) -> None:
    engine = create_async_engine(url)
    await use(engine)
    await engine.dispose()
    await use(engine)  # in a new pool
    await engine.dispose()
    KEPT.append(engine)


async def _never_used(url: str) -> None:
    KEPT.append(create_async_engine(url))


async def _without_pool(url: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
    await use(engine)
    KEPT.append(engine)


async def _synchronous(url: str) -> None:
    engine = create_engine("sqlite://")
    engine.connect().close()
    KEPT.append(engine)


async def _of_the_sandbox(url: str) -> None:
    with own_work():
        engine = create_async_engine(url)
    await use(engine)
    KEPT.append(engine)


@pytest.mark.parametrize("act", [_disposed, _never_used, _without_pool, _synchronous, _of_the_sandbox])
def test_look_alikes(bench: Bench, url: str, act: Callable[[str], Any]) -> None:
    assert bench.run_test(lambda: act(url)) == []
    for engine in KEPT:
        if isinstance(engine, AsyncEngine):
            bench.run_as(None, engine.dispose)
        else:
            engine.dispose()


def test_an_engine_of_the_application(bench: Bench, engine: AsyncEngine) -> None:
    async def test() -> None:
        await use(engine)
        await use(engine.execution_options(isolation_level="AUTOCOMMIT"))

    assert bench.run_test(test) == []


def test_what_a_connection_in_a_pool_has_opened(bench: Bench, engine: AsyncEngine) -> None:
    async def test() -> None:
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            KEPT.append(socket.socket())
            raw.driver_connection.of_the_driver = KEPT[0]  # type: ignore[union-attr]

    assert bench.run_test(test) == []
    KEPT[0].close()


def test_an_engine_that_an_import_has_made(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uno_imported_shop.py").write_text(
        "from sqlalchemy.ext.asyncio import create_async_engine\n"
        "engine = create_async_engine('sqlite+aiosqlite://')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    async def test(*, collects: bool = False) -> None:
        import uno_imported_shop  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

        await use(uno_imported_shop.engine)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        KEPT.append(uno_imported_shop)

    assert bench.run_test(test) == []
    bench.run_as(None, KEPT[0].engine.dispose)
    monkeypatch.delitem(__import__("sys").modules, "uno_imported_shop")


def test_an_engine_of_a_wider_fixture(bench: Bench, url: str) -> None:
    fixture = Owner("fixture", "engine", "module")

    async def set_up() -> AsyncEngine:
        return create_async_engine(url)

    engine: AsyncEngine = bench.run_as(fixture, set_up)
    bench.detection.retain(fixture, engine)
    assert bench.run_test(lambda: use(engine), loop_ends=False) == []
    bench.detection.release(fixture)
    fixture.ended = True
    (finding,) = bench.detection.drain()
    assert (finding.rule, finding.owner.name) == ("UNO304", "engine")


def test_an_engine_that_a_wider_fixture_holds(bench: Bench, url: str) -> None:
    fixture = Owner("fixture", "engines", "module")
    engines: list[AsyncEngine] = []
    bench.detection.retain(fixture, engines)

    async def test() -> None:
        engines.append(create_async_engine(url))
        await use(engines[0])

    assert bench.run_test(test, loop_ends=False) == []
    bench.run_as(fixture, engines[0].dispose)


@pytest.mark.skipif(not IS_CLOSED_WHEN_COLLECTED, reason="aiosqlite says nothing before 0.22")
def test_a_driver_may_complain_where_that_is_expected(bench: Bench, url: str) -> None:
    async def test() -> None:
        engine = create_async_engine(url)
        await use(engine)
        held = [engine]
        del engine
        with pytest.warns(ResourceWarning):
            _drop(held)

    assert bench.run_test(test) == []
