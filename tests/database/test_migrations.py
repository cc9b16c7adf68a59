from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from pytest_uno.core.errors import SandboxError
from pytest_uno.database.templates.choice import make_template
from tests.database.databases import Database
from tests.database.shop_schema import add, names

pytestmark = pytest.mark.asyncio

_REVISION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{number}", {before}, None, None

def upgrade():
    {upgrade}

def downgrade():
    pass
"""

_UPGRADES = [
    'op.create_table("items", sa.Column("id", sa.Integer, primary_key=True))',
    'op.add_column("items", sa.Column("name", sa.String(40)))',
]

_ASYNC_ENVIRONMENT = """
import asyncio
from logging.config import fileConfig

from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import async_engine_from_config, create_async_engine

config = context.config
fileConfig(config.config_file_name)

def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

async def main():
    engine = ENGINE
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()

asyncio.run(main())
"""

_LOGGING = """
[loggers]
keys = root
[handlers]
keys =
[formatters]
keys =
[logger_root]
level = CRITICAL
handlers =
"""


@pytest_asyncio.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = database.absent_engine()
    yield engine
    await engine.dispose()


def write_project(folder: Path, *, url: str, engine: str) -> None:
    scripts = folder / "migrations"
    (scripts / "versions").mkdir(parents=True)
    for number, upgrade in enumerate(_UPGRADES, 1):
        text = _REVISION.format(
            number=number, before=repr(str(number - 1)) if number > 1 else None, upgrade=upgrade
        )
        (scripts / "versions" / f"{number}.py").write_text(text, encoding="utf-8")
    (scripts / "env.py").write_text(_ASYNC_ENVIRONMENT.replace("ENGINE", engine), encoding="utf-8")
    ini = f"[alembic]\nscript_location = {scripts}\npath_separator = os\n{url}\n{_LOGGING}"
    (folder / "alembic.ini").write_text(ini, encoding="utf-8")


_FROM_INI = (
    'async_engine_from_config(config.get_section("alembic"), prefix="sqlalchemy.", poolclass=pool.NullPool)'
)


@pytest.mark.parametrize("case", ["no url", "placeholder", "url of another database", "url in env.py"])
async def test_migrations_make_the_template(database: Database, engine: AsyncEngine, case: str) -> None:
    other = database.absent_engine().url.render_as_string(False).replace("absent", "production")
    url = {
        "placeholder": "sqlalchemy.url = driver://user:pass@localhost/dbname",
        "url of another database": "sqlalchemy.url = " + other.replace("%", "%%"),
    }.get(case, "")
    made = f"create_async_engine({other!r})" if case == "url in env.py" else _FROM_INI
    write_project(database.folder, url=url, engine=made)
    logger = logging.getLogger("shop.orders")
    level = logging.getLogger().level
    template = make_template([engine], database.settings(schema="alembic:alembic.ini"))
    template.install()
    try:
        await add(engine, "one")
        assert await names(engine) == ["one"]
        await template.rebuild_worker()
        assert await names(engine) == []
    finally:
        await template.close()
    assert not logger.disabled
    assert logging.getLogger().level == level
    assert not list(database.folder.glob("*.db"))


async def test_a_missing_ini_is_named(database: Database, engine: AsyncEngine) -> None:
    template = make_template([engine], database.settings(schema="alembic:nowhere.ini"))
    with pytest.raises(SandboxError, match=r"there is no file .*nowhere\.ini"):
        await template.build()


async def test_alembic_is_needed(
    database: Database, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "alembic", None)
    template = make_template([engine], database.settings(schema="alembic:alembic.ini"))
    with pytest.raises(SandboxError, match="Alembic is not installed"):
        await template.build()


async def test_an_url_that_cannot_be_read_is_replaced(database: Database, engine: AsyncEngine) -> None:
    write_project(database.folder, url="sqlalchemy.url = from the environment", engine=_FROM_INI)
    template = make_template([engine], database.settings(schema="alembic:alembic.ini"))
    await template.build()
    assert template.is_built
    await template.close()


async def test_a_migration_that_fails_is_named(database: Database, engine: AsyncEngine) -> None:
    write_project(database.folder, url="", engine="1 / 0")
    template = make_template([engine], database.settings(schema="alembic:alembic.ini"))
    with pytest.raises(SandboxError, match=r"uno_db_schema = alembic:alembic\.ini failed: ZeroDivisionError"):
        await template.build()
