from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from pytest_uno.core.errors import SandboxError
from pytest_uno.database.templates.choice import make_template
from pytest_uno.database.templates.template import Template
from tests.database import shop_schema
from tests.database.databases import Database
from tests.database.shop_schema import add, names, scalar

pytestmark = pytest.mark.asyncio

_SCHEMA: dict[str, Any] = {
    "metadata": "tests.database.shop_schema:metadata",
    "seed": "tests.database.shop_schema:seed",
}


@asynccontextmanager
async def installed(
    database: Database, engine: AsyncEngine | None = None, **settings: Any
) -> AsyncIterator[tuple[AsyncEngine, Template]]:
    """Provide an engine of a database that does not exist, with a template."""
    engine = engine or database.absent_engine()
    template = make_template([engine], database.settings(**settings))
    template.install()
    try:
        yield engine, template
    finally:
        await template.close()
        await engine.dispose()


async def test_the_worker_database_has_schema_and_seed(database: Database) -> None:
    async with installed(database, **_SCHEMA) as (engine, _):
        assert await names(engine) == ["seeded"]


async def test_the_template_is_built_by_the_first_connection_and_once(database: Database) -> None:
    before = len(shop_schema.calls)
    async with installed(database, **_SCHEMA) as (engine, template):
        assert not template.is_built
        assert len(shop_schema.calls) == before
        await asyncio.gather(*(template.worker() for _ in range(3)))
        await names(engine)
        await template.build()
        await template.make_copy()
        await template.rebuild_worker()
        await names(engine)
        assert len(shop_schema.calls) == before + 1


async def test_a_rebuilt_worker_database_does_not_have_what_was_committed(database: Database) -> None:
    async with installed(database, **_SCHEMA) as (engine, template):
        await add(engine, "escaped")
        assert await names(engine) == ["seeded", "escaped"]
        await template.rebuild_worker()
        assert await names(engine) == ["seeded"]


async def test_copies_do_not_share_anything(database: Database) -> None:
    async with installed(database, **_SCHEMA) as (engine, template):
        await add(engine, "in the worker database")
        first, second = [await template.make_copy() for _ in range(2)]
        assert first != second
        for copy in (first, second):

            async def lead_to_copy(copy: Any = copy) -> Any:
                return copy

            for pool in (engine.sync_engine.pool,):
                template.redirection.source = lead_to_copy
                engine.sync_engine.pool = pool.recreate()
            await add(engine, "only here")
            assert await names(engine) == ["seeded", "only here"]
            await engine.dispose()
            await template.discard_copy(copy)


async def test_the_database_of_the_url_is_not_opened(database: Database) -> None:
    async with installed(database, **_SCHEMA) as (engine, _):
        await names(engine)
        if database.kind == "sqlite-file":
            assert not Path(database.absent_url.removeprefix("sqlite+aiosqlite:///")).exists()
        elif not database.is_sqlite:
            found = await scalar(engine, "SELECT current_database()")
            assert found != engine.url.database
            assert found.startswith(f"{engine.url.database}_uno_{database.run_id}_main")


async def test_an_address_that_does_not_exist_does_no_harm_while_nothing_is_used(database: Database) -> None:
    url = "sqlite+aiosqlite:////nowhere/at/all.db"
    if not database.is_sqlite:
        url = f"postgresql+{database.driver}://nobody@nowhere.invalid:1/production"
    async with installed(database, create_async_engine(url), **_SCHEMA) as (_, template):
        assert not template.is_built


async def test_close_gives_the_engine_back(database: Database) -> None:
    engine = database.engine()
    pool = engine.sync_engine.pool
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE own (id integer)"))
    template = make_template([engine], database.settings(**_SCHEMA))
    template.install()
    template.install()
    assert await names(engine) == ["seeded"]
    await template.close()
    await template.close()
    assert engine.sync_engine.pool is pool
    assert await scalar(engine, "SELECT count(*) FROM own") == 0
    await engine.dispose()


@pytest.mark.parametrize("function", ["make_tables", "make_tables_async"])
async def test_a_function_makes_the_schema(database: Database, function: str) -> None:
    async with installed(database, schema=f"tests.database.shop_schema:{function}") as (engine, _):
        await add(engine, "one")
        assert await names(engine) == ["one"]


async def test_a_seed_may_be_an_ordinary_function(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seed(session: AsyncSession) -> None:
        session.add(shop_schema.Item(name="added"))

    monkeypatch.setattr(shop_schema, "seed", seed)
    async with installed(database, **_SCHEMA) as (engine, _):
        assert await names(engine) == ["added"]


async def test_a_seed_that_uses_the_engine_itself_fills_the_template(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = database.absent_engine()

    async def seed(session: Any) -> None:
        await add(engine, "by the engine")
        await engine.dispose()
        await add(engine, "after dispose")

    monkeypatch.setattr(shop_schema, "seed", seed)
    async with installed(database, engine, **_SCHEMA) as (_, template):
        await template.rebuild_worker()
        assert await names(engine) == ["by the engine", "after dispose"]


async def test_others_wait_while_the_template_is_built(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = database.absent_engine(poolclass=NullPool)
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def seed(session: Any) -> None:
        entered.set()
        await go_on.wait()

    monkeypatch.setattr(shop_schema, "seed", seed)
    async with installed(database, engine, **_SCHEMA) as (_, template):
        first = asyncio.create_task(names(engine))
        await entered.wait()
        second = asyncio.create_task(add(engine, "by another task"))
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(first, second)
        assert "by another task" in await names(engine)
        await template.rebuild_worker()
        assert await names(engine) == []


async def test_a_seed_that_fails_is_named_each_time_and_called_once(database: Database) -> None:
    settings = _SCHEMA | {"seed": "tests.database.shop_schema:failing_seed"}
    before = len(shop_schema.calls)
    async with installed(database, **settings) as (engine, _):
        for _attempt in range(2):
            with pytest.raises(
                SandboxError, match=r"uno_db_seed = .*failing_seed failed: LookupError: no such price"
            ) as got:
                await names(engine)
            assert isinstance(got.value.__cause__, LookupError)
        assert len(shop_schema.calls) == before + 1


async def test_a_build_that_is_cancelled_begins_anew(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered = asyncio.Event()

    async def hang(session: Any) -> None:
        entered.set()
        await asyncio.get_running_loop().create_future()

    async with installed(database, **_SCHEMA) as (engine, _):
        with monkeypatch.context() as patch:
            patch.setattr(shop_schema, "seed", hang)
            task = asyncio.create_task(names(engine))
            await entered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await names(engine) == ["seeded"]


async def test_metadata_and_schema_exclude_each_other(database: Database) -> None:
    async with installed(database, **_SCHEMA, schema="tests.database.shop_schema:make_tables") as (engine, _):
        with pytest.raises(SandboxError, match="both uno_db_metadata and uno_db_schema"):
            await names(engine)


@pytest.mark.parametrize("option", ["creator", "async_creator"])
async def test_an_engine_that_connects_by_itself_is_refused(database: Database, option: str) -> None:
    def connect(*arguments: object) -> Any:
        raise AssertionError("opened")

    creator: Callable[..., Any] = connect
    engine = database.absent_engine(**{option: creator})
    with pytest.raises(SandboxError, match="connects with a function of its own"):
        make_template([engine], database.settings())


async def test_a_listener_that_connects_by_itself_gets_our_database(database: Database) -> None:
    engine = database.absent_engine()
    seen: list[object] = []

    @event.listens_for(engine.sync_engine, "do_connect")
    def connect(dialect: Any, record: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
        seen.append(arguments[0] if database.is_sqlite else options.get("database", options.get("dbname")))
        return dialect.connect(*arguments, **options)

    async with installed(database, engine, **_SCHEMA):
        assert await names(engine) == ["seeded"]
    assert seen
    assert engine.url.database not in seen
    assert ":memory:" not in seen


async def test_two_engines_lead_to_one_database(database: Database) -> None:
    primary, replica = database.absent_engine(), database.absent_engine()
    template = make_template([primary, replica], database.settings(**_SCHEMA))
    template.install()
    try:
        await add(primary, "by the primary")
        assert await names(replica) == ["seeded", "by the primary"]
    finally:
        await template.close()


async def test_engines_of_several_databases_are_refused(tmp_path: Path) -> None:
    from pytest_uno.database.settings import DatabaseSettings

    engines = [create_async_engine("sqlite+aiosqlite://") for _ in range(2)]
    engines[1].dialect.name = "oracle"
    with pytest.raises(SandboxError, match="of several databases: oracle, sqlite"):
        make_template(engines, DatabaseSettings())
    with pytest.raises(SandboxError, match="no sandbox for oracle"):
        make_template(engines[1:], DatabaseSettings())
