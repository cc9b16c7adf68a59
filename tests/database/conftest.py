from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.database.databases import KINDS, POSTGRES_KINDS, Database, postgres_database, sqlite_database

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
