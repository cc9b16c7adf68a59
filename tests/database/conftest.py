from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database.databases import KINDS, POSTGRES_KINDS, Database, postgres_database, sqlite_database
from tests.database.library import make_library
from tests.database.running import LOOPS, Run, run_on

if TYPE_CHECKING:
    from tests.database.postgres_server import PostgresServer


@pytest.fixture(scope="session")
def postgres_server() -> Generator[PostgresServer, None, None]:
    from tests.database.postgres_server import running_server

    with running_server() as server:
        yield server


def _make(kind: str, request: pytest.FixtureRequest, folder: Path) -> Generator[Database, None, None]:
    if kind not in POSTGRES_KINDS:
        yield sqlite_database(kind, folder)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.fresh_database() as name:
        yield postgres_database(kind, folder, name, server.url)


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Database, None, None]:
    """Each kind of database in turn."""
    yield from _make(request.param, request, tmp_path)


@pytest.fixture(params=POSTGRES_KINDS)
def postgres(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Database, None, None]:
    """Each driver of PostgreSQL in turn; no test where the environment promises no server."""
    yield from _make(request.param, request, tmp_path)


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest, database: Database) -> Run:
    """Run a test with the engine of an empty library, on each kind of database and of loop."""
    return _runner(database, request.param)


@pytest.fixture(params=LOOPS)
def run_postgres(request: pytest.FixtureRequest, postgres: Database) -> Run:
    """The same on PostgreSQL only."""
    return _runner(postgres, request.param)


def _runner(database: Database, loop: str) -> Run:
    def call(main: Callable[[AsyncEngine], Awaitable[None]]) -> None:
        async def body() -> None:
            engine = database.engine()
            try:
                await make_library(engine)
                await main(engine)
            finally:
                await engine.dispose()

        run_on(LOOPS[loop], body)

    return call


@pytest.fixture
def visible_administrator(monkeypatch: pytest.MonkeyPatch) -> Generator[None, None, None]:
    """Let administrators work in threads that `threading` knows of, so that a tracer sees what they do."""
    threads: list[threading.Thread] = []

    def start(function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        thread.start()
        threads.append(thread)

    monkeypatch.setattr("pytest_uno.database.templates.administrator.start_new_thread", start)
    yield
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
