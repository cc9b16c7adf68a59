"""Making copies takes real time and no virtual one, and each test has a loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from pytest_uno.core.errors import SandboxEscapeError
from pytest_uno.database.sandbox.rollback import RollbackSandbox
from pytest_uno.database.snapshot import SnapshotSandbox
from pytest_uno.database.templates.choice import make_template
from pytest_uno.database.templates.template import Template
from tests.clock.running import run_virtual
from tests.database.databases import Database
from tests.database.shop_schema import add, items, names


@pytest.fixture
def engine(database: Database) -> AsyncEngine:
    return database.absent_engine()


@pytest.fixture
def template(database: Database, engine: AsyncEngine) -> Iterator[Template]:
    module = "tests.database.shop_schema"
    template = make_template(
        [engine], database.settings(metadata=f"{module}:metadata", seed=f"{module}:seed")
    )
    template.install()
    yield template
    asyncio.run(template.close())


def _sandbox(mode: str, engine: AsyncEngine, template: Template) -> RollbackSandbox | SnapshotSandbox:
    return SnapshotSandbox(template) if mode == "snapshot" else RollbackSandbox([engine])


@pytest.mark.parametrize("mode", ["rollback", "snapshot"])
def test_no_virtual_time_passes(engine: AsyncEngine, template: Template, mode: str) -> None:
    async def test() -> None:
        sandbox = _sandbox(mode, engine, template)
        sandbox.start()
        async with asyncio.timeout(0.001):
            await add(engine, "the same unique name")
            assert await names(engine) == ["seeded", "the same unique name"]
        end = await sandbox.stop()
        assert end.escape is None

    for _ in range(3):
        _, clock = run_virtual(test)
        assert clock.elapsed == 0


def test_no_later_test_sees_what_has_escaped(engine: AsyncEngine, template: Template) -> None:
    async def escape() -> None:
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        with contextlib.suppress(SandboxEscapeError):
            async with engine.connect() as connection:
                await connection.execute(insert(items).values(name="escaped"))
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None
                await (driver.commit() if hasattr(driver, "commit") else driver.execute("COMMIT"))
        end = await sandbox.stop()
        assert end.escape is not None
        await template.rebuild_worker()

    async def later() -> None:
        sandbox = RollbackSandbox([engine])
        sandbox.start()
        assert await names(engine) == ["seeded"]
        await sandbox.stop()

    run_virtual(escape)
    run_virtual(later)
