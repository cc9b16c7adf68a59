from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from pytest_uno.core.errors import SandboxError
from pytest_uno.database.templates.choice import make_template
from pytest_uno.database.templates.postgresql import stem_of
from tests.database.databases import Database
from tests.database.shop_schema import names

if TYPE_CHECKING:
    from tests.database.postgres_server import PostgresServer

pytestmark = pytest.mark.usefixtures("visible_administrator")

_SCHEMA: dict[str, Any] = {"metadata": "tests.database.shop_schema:metadata"}


def test_a_name_fits_and_ends_with_run_and_worker() -> None:
    stem = stem_of("ü" * 60, "a1b2c3", "gw12")
    assert len(f"{stem}_template".encode()) <= 63
    assert stem.endswith("_uno_a1b2c3_gw12")
    assert stem.startswith("ü")


@pytest.mark.asyncio
async def test_no_database_is_left(postgres: Database, postgres_server: PostgresServer) -> None:
    before = postgres_server.databases()
    engine = postgres.absent_engine()
    template = make_template([engine], postgres.settings(**_SCHEMA))
    template.install()
    assert await names(engine) == []
    for _ in range(3):
        await template.discard_copy(await template.make_copy())
    await template.make_copy()
    assert len(postgres_server.databases() - before) >= 3
    await template.close()
    assert postgres_server.databases() == before


@pytest.mark.asyncio
async def test_what_a_killed_process_left_is_dropped(
    postgres: Database, postgres_server: PostgresServer
) -> None:
    killed, running = f"shop_uno_{postgres.run_id}_gw0", f"shop_uno_{postgres.run_id}_gw1"
    stranger = f"{killed}_production"
    for name in (killed, f"{killed}_17", f"{killed}_template", stranger):
        postgres_server.execute(f'CREATE DATABASE "{name}"')
    postgres_server.execute(f"COMMENT ON DATABASE \"{killed}_template\" IS 'pytest-uno template'")
    other_engine, engine = postgres.absent_engine(), postgres.absent_engine()
    other_engine = create_async_engine(other_engine.url.set(database="shop"))
    other = make_template([other_engine], postgres.settings(worker="gw1", **_SCHEMA))
    other.install()
    assert await names(other_engine) == []
    template = make_template([engine], postgres.settings(**_SCHEMA))
    await template.build()
    limit = time.monotonic() + 20
    while f"{killed}_template" in postgres_server.databases() and time.monotonic() < limit:
        await asyncio.sleep(0.01)
    left = {name for name in postgres_server.databases() if postgres.run_id in name}
    assert {name for name in left if name.startswith("shop")} == {running, f"{running}_template", stranger}
    await template.close()
    await other.close()
    await other_engine.dispose()
    postgres_server.execute(f'DROP DATABASE "{stranger}"')


@pytest.mark.asyncio
async def test_a_server_that_is_not_there_is_named_without_the_password(postgres: Database) -> None:
    engine = create_async_engine(f"postgresql+{postgres.driver}://user:secret@127.0.0.1:1/production")
    template = make_template([engine], postgres.settings(**_SCHEMA))
    with pytest.raises(SandboxError, match="cannot be reached") as got:
        await template.build()
    assert "secret" not in str(got.value)
    await template.close()


@pytest.mark.asyncio
async def test_processes_do_not_block_each_other_where_only_template1_is_left(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_uno.database.templates.administrator._USUAL_DATABASE", "absent_for_certain")
    engines = [postgres.absent_engine() for _ in range(2)]
    templates = [
        make_template([engine], postgres.settings(worker=f"gw{number}", **_SCHEMA))
        for number, engine in enumerate(engines)
    ]
    try:
        for template, engine in zip(templates, engines, strict=True):
            template.install()
            assert await names(engine) == []
    finally:
        for template in templates:
            await template.close()
