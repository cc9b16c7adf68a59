"""The experimental worker databases of MariaDB, without a server: what is sent, and when it is built again."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pytest_uno.core.errors import SandboxError
from pytest_uno.database.settings import DatabaseSettings
from pytest_uno.database.templates.choice import make_template
from pytest_uno.database.templates.mariadb import MariaDBTemplate
from pytest_uno.database.templates.redirection import ConnectTarget, current_target
from tests.database.shop_schema import add, names

pytestmark = pytest.mark.asyncio

_DATABASE = "`shop_uno_a1_gw0`"
_SETTINGS = DatabaseSettings(
    metadata="tests.database.shop_schema:metadata",
    seed="tests.database.shop_schema:seed",
    run_id="a1",
    worker="gw0",
)


class OnFiles(MariaDBTemplate):
    """A server whose databases are files of SQLite."""

    sent: list[str]
    folder: Path

    async def _execute(self, *statements: str) -> None:
        for statement in statements:
            self.sent.append(statement)
            if statement.startswith("DROP"):
                for file in self.folder.glob(f"{self._name}*"):
                    file.unlink()

    def _target(self) -> ConnectTarget:
        return ConnectTarget(str(self.folder / self._name))


@pytest_asyncio.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/shop")
    yield engine
    await engine.dispose()


@pytest.fixture
def template(engine: AsyncEngine, tmp_path: Path) -> OnFiles:
    template = OnFiles([engine], _SETTINGS)
    template._name, template.sent, template.folder = "shop_uno_a1_gw0", [], tmp_path
    return template


async def test_it_is_built_once_and_again_after_an_escape(engine: AsyncEngine, template: OnFiles) -> None:
    made = [f"DROP DATABASE IF EXISTS {_DATABASE}", f"CREATE DATABASE {_DATABASE}"]
    dropped = made[0]
    template.install()
    assert template.sent == []
    for _ in range(2):
        assert await names(engine) == ["seeded"]
    assert template.sent == made
    await add(engine, "escaped")
    await template.rebuild_worker()
    assert await names(engine) == ["seeded"]
    assert template.sent == [*made, dropped, *made]
    await template.close()
    await template.close()
    assert template.sent == [*made, dropped, *made, dropped]
    assert not (template.folder / "shop").exists()


async def test_there_are_no_copies(template: OnFiles) -> None:
    with pytest.raises(SandboxError, match="there is no mode snapshot for MariaDB"):
        await template.make_copy()
    assert template.sent == []


@pytest.mark.parametrize(
    ("driver", "options", "expected"),
    [
        ("asyncmy", {"db": "production"}, {"db": "worker"}),
        ("aiomysql", {}, {"db": "worker"}),
        ("other", {"database": "production"}, {"database": "worker"}),
    ],
)
async def test_connections_are_led_elsewhere(
    driver: str, options: dict[str, Any], expected: dict[str, Any]
) -> None:
    dialect = mysql.dialect()
    dialect.driver = driver
    ConnectTarget("worker").apply(dialect, [], options)
    assert options == expected
    ConnectTarget("").apply(dialect, [], options)
    assert options == {}


async def test_statements_run_on_a_connection_to_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    class Cursor:
        async def __aenter__(self) -> Cursor:
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def execute(self, statement: str) -> None:
            sent.append(statement)

    class Pool:
        def __init__(self, creator: Any, *, dialect: Any) -> None: ...

        def connect(self) -> Any:
            sent.append(current_target.get())
            driver = types.SimpleNamespace(cursor=Cursor)
            return types.SimpleNamespace(driver_connection=driver, close=lambda: sent.append("close"))

        def dispose(self) -> None: ...

    monkeypatch.setattr("pytest_uno.database.templates.mariadb.NullPool", Pool)
    template = MariaDBTemplate([create_async_engine("sqlite+aiosqlite:///x`" + "y" * 80)], _SETTINGS)
    await template._make_empty()
    name = "`x``" + "y" * 51 + "_uno_a1_gw0`"
    assert len(template._name) == 64
    made = [f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}"]
    assert sent == [ConnectTarget(""), *made, "close"]
    assert template._target() == ConnectTarget(template._name)


async def test_it_is_chosen_for_mariadb(monkeypatch: pytest.MonkeyPatch, engine: AsyncEngine) -> None:
    monkeypatch.setattr(engine.dialect, "name", "mariadb")
    assert isinstance(make_template([engine], _SETTINGS), MariaDBTemplate)
    monkeypatch.setattr(engine.dialect, "name", "oracle")
    with pytest.raises(SandboxError, match="there is no sandbox for oracle"):
        make_template([engine], _SETTINGS)
