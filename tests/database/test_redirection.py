"""Who is led to the database that is being built, and who is not."""

from __future__ import annotations

import contextvars
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from pytest_uno.database.own_work import is_own_work
from pytest_uno.database.templates.redirection import (
    ConnectTarget,
    Redirection,
    everything_leads_to,
    leading_to,
)
from pytest_uno.database.templates.routing import building_pools, dispose_pool
from tests.database.shop_schema import scalar


@pytest.fixture
def target(tmp_path: Path) -> ConnectTarget:
    return ConnectTarget(str(tmp_path / "target.db"))


@pytest.fixture
def engine(tmp_path: Path) -> AsyncEngine:
    return create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/own.db")


@pytest.fixture
def foreign_engine(tmp_path: Path) -> Engine:
    return create_engine(f"sqlite:///{tmp_path}/own.db", poolclass=NullPool)


def _file_of(engine: Engine) -> str:
    with engine.connect() as connection:
        return Path(connection.execute(text("PRAGMA database_list")).one()[2]).name


async def _file_of_async(engine: AsyncEngine) -> str:
    async with engine.connect() as connection:
        return Path((await connection.execute(text("PRAGMA database_list"))).one()[2]).name


def test_engines_of_the_same_kind_lead_to_the_database(foreign_engine: Engine, target: ConnectTarget) -> None:
    with everything_leads_to(target, "sqlite"):
        assert _file_of(foreign_engine) == "target.db"
    foreign_engine.dispose()
    assert _file_of(foreign_engine) == "own.db"


def test_an_engine_leads_elsewhere_for_the_task_only(foreign_engine: Engine, target: ConnectTarget) -> None:
    with everything_leads_to(target, "sqlite"):
        assert _file_of(foreign_engine) == "target.db"
        assert contextvars.Context().run(_file_of, foreign_engine) == "own.db"


@pytest.mark.asyncio
async def test_an_engine_leads_where_its_url_says_afterwards(
    engine: AsyncEngine, target: ConnectTarget
) -> None:
    async def find_target() -> ConnectTarget:
        return ConnectTarget(f"file:{target.database}", is_uri=True)

    redirection = Redirection([engine], find_target)
    redirection.install()
    assert await _file_of_async(engine) == "target.db"
    await engine.dispose()
    redirection.uninstall()
    assert await _file_of_async(engine) == "own.db"
    await engine.dispose()


def test_engines_of_another_kind_lead_where_their_url_says(
    foreign_engine: Engine, target: ConnectTarget
) -> None:
    with everything_leads_to(target, "postgresql"):
        assert _file_of(foreign_engine) == "own.db"


def test_what_builds_a_template_is_own_work(target: ConnectTarget) -> None:
    assert not is_own_work()
    with leading_to(target):
        assert is_own_work()
    assert not is_own_work()


@pytest.mark.asyncio
async def test_only_the_task_that_builds_uses_the_second_pool(
    engine: AsyncEngine, target: ConnectTarget
) -> None:
    async def others() -> ConnectTarget:
        return ConnectTarget(target.database.replace("target", "others"))

    redirection = Redirection([engine], others)
    redirection.install()
    own = engine.sync_engine.pool
    with building_pools([engine], [own]) as pools:
        assert await _file_of_async(engine) == "others.db"
        with leading_to(target):
            assert await _file_of_async(engine) == "target.db"
            async with engine.connect():
                assert engine.sync_engine.pool.status() == pools[0].status() != own.status()
            before = own.status()
            await engine.dispose()
            assert own.status() == before
        await engine.dispose()
        assert own.status() != before
    assert engine.sync_engine.pool is own
    await dispose_pool(pools[0])
    redirection.uninstall()


@pytest.mark.asyncio
async def test_a_pool_that_was_exchanged_meanwhile_stays(engine: AsyncEngine) -> None:
    own = engine.sync_engine.pool
    with building_pools([engine], [own]):
        exchanged = engine.sync_engine.pool = own.recreate()
    assert engine.sync_engine.pool is exchanged
    assert await scalar(engine, "SELECT 1") == 1
    await engine.dispose()
