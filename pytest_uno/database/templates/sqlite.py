"""Templates of SQLite databases: files in memory where the system has a file system there, and copies of them.

The copies of a file are in WAL mode, in which readers do not block a writer. An engine that is made for a database in
memory has one connection for everybody: its worker database is in memory as well, and outlives a connection that was
broken off. Its copies in snapshot mode are files, since there each user gets a connection of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from pytest_uno.database.settings import DatabaseSettings
from pytest_uno.database.templates.folders import make_folder
from pytest_uno.database.templates.redirection import ConnectTarget
from pytest_uno.database.templates.template import Template

__all__ = ["SQLiteTemplate", "is_in_memory"]

_SUFFIXES = ("", "-wal", "-shm", "-journal")


def is_in_memory(url: URL) -> bool:
    """Say whether the URL of an SQLite engine names a database in memory.

    Args:
        url: the URL.
    """
    name = url.database or ":memory:"
    return ":memory:" in name or url.query.get("mode") == "memory" or "mode=memory" in name


class SQLiteTemplate(Template):
    """A template that is a file."""

    def __init__(self, engines: Sequence[AsyncEngine], settings: DatabaseSettings) -> None:
        super().__init__(engines, settings)
        self._in_memory = is_in_memory(self.engines[0].url)
        self._folder: Path | None = None
        self._count = 0
        self._keeper: sqlite3.Connection | None = None
        """Keeps the worker database in memory alive."""
        self._worker_file: Path | None = None

    @property
    def _made_folder(self) -> Path:
        if self._folder is None:
            self._folder = make_folder(self.settings.run_id, self.settings.worker)
        return self._folder

    @property
    def _template(self) -> Path:
        return self._made_folder / "template.db"

    @property
    def _original(self) -> Path:
        """What the copies are made of: the template in WAL mode."""
        return self._made_folder / "original.db"

    async def _make_empty(self) -> ConnectTarget:
        return ConnectTarget(str(self._template))

    async def _seal(self) -> None:
        with contextlib.closing(sqlite3.connect(self._template)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
        if not self._in_memory:
            self._make_original()

    async def _make_worker(self) -> ConnectTarget:
        self._count += 1
        if not self._in_memory:
            self._worker_file = self._copy("worker")
            return ConnectTarget(str(self._worker_file))
        name = (
            f"file:/uno-{self.settings.run_id}-{self.settings.worker}-{os.getpid()}-{self._count}?vfs=memdb"
        )
        self._keeper = sqlite3.connect(name, uri=True, check_same_thread=False)
        with contextlib.closing(sqlite3.connect(self._template)) as template:
            template.backup(self._keeper)
        return ConnectTarget(name, is_uri=True)

    async def _drop_worker(self) -> None:
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
        if self._worker_file is not None:
            _remove(self._worker_file)
            self._worker_file = None

    async def _make_copy(self) -> ConnectTarget:
        if not self._original.exists():
            self._make_original()
        self._count += 1
        return ConnectTarget(str(self._copy("copy")))

    async def _discard_copy(self, copy: ConnectTarget) -> None:
        _remove(Path(copy.database))

    async def _drop_all(self) -> None:
        await self._drop_worker()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _make_original(self) -> None:
        shutil.copyfile(self._template, self._original)
        with contextlib.closing(sqlite3.connect(self._original)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")

    def _copy(self, kind: str) -> Path:
        path = self._made_folder / f"{kind}-{self._count}.db"
        shutil.copyfile(self._original, path)
        return path


def _remove(path: Path) -> None:
    for suffix in _SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)
