"""What the templates of all databases have in common: when they are built, and who is led where.

A template is built by the first connection of the run, in the loop of the test that opens it: a run that uses no
database opens none. Nobody else ever connects to it. The tests use copies: one for all tests in rollback mode, the
worker database, and one for each in snapshot mode.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import Pool

from pytest_uno.core.errors import SandboxError, compose_message
from pytest_uno.database.schema import build_schema
from pytest_uno.database.settings import DatabaseSettings
from pytest_uno.database.templates.creators import connects_by_itself
from pytest_uno.database.templates.redirection import ConnectTarget, Redirection, leading_to
from pytest_uno.database.templates.routing import building_pools, dispose_pool

__all__ = ["Template"]


class Template(ABC):
    """A prepared database of one process of the run, and its copies.

    One loop at a time may use it; the loops may change from test to test.

    Args:
        engines: the application's engines; all of them lead to this database.
        settings: the project's settings.

    Raises:
        SandboxError: an engine has a `creator=`, so that it cannot be led to another database.
    """

    def __init__(self, engines: Sequence[AsyncEngine], settings: DatabaseSettings) -> None:
        self.engines = tuple(engines)
        self.settings = settings
        self.redirection = Redirection(self.engines, self.worker)
        """Its `source` is `worker` between the tests of snapshot mode."""
        self._originals: list[Pool] = []
        self._bases: list[Pool] = []
        self._is_built = False
        self._failure: SandboxError | None = None
        self._worker: ConnectTarget | None = None
        self._lock = _LockOfLoop()
        for engine in self.engines:
            _refuse_creator(engine)

    @property
    def is_built(self) -> bool:
        """Whether anything has been opened so far."""
        return self._is_built

    def install(self) -> None:
        """Lead the engines to the worker database, with fresh pools; opens nothing.

        Must be called before a sandbox is started.
        """
        if self._bases:
            return
        self._originals = [engine.sync_engine.pool for engine in self.engines]
        # A connection that was opened before leads to the database of the URL, and stays unused in the old pool.
        self._bases = [pool.recreate() for pool in self._originals]
        for engine, base in zip(self.engines, self._bases, strict=True):
            engine.sync_engine.pool = base
        self.redirection.install()

    async def build(self) -> None:
        """Prepare the template, unless that was done: make the schema and fill in the seed.

        Raises:
            SandboxError: schema or seed cannot be made; raised again by each later call.
        """
        async with self._lock.held():
            await self._build_once()

    async def worker(self) -> ConnectTarget:
        """Return the worker database; prepares it if need be.

        Raises:
            SandboxError: the template cannot be built.
        """
        if self._worker is None:
            async with self._lock.held():
                await self._build_once()
                if self._worker is None:
                    self._worker = await self._make_worker()
        return self._worker

    async def rebuild_worker(self) -> None:
        """Throw the worker database away: the next connection finds a fresh one."""
        async with self._lock.held():
            for base in self._bases:
                await dispose_pool(base)
            if self._worker is not None:
                self._worker = None
                await self._drop_worker()

    async def make_copy(self) -> ConnectTarget:
        """Return a private copy for one test.

        Raises:
            SandboxError: the template cannot be built.
        """
        await self.build()
        return await self._make_copy()

    async def discard_copy(self, copy: ConnectTarget) -> None:
        """Drop a copy; no pool may have a connection to it.

        Args:
            copy: what `make_copy` returned.
        """
        await self._discard_copy(copy)

    async def close(self) -> None:
        """Drop everything, and give the engines back as they were found.

        Must be called while no sandbox is started. May be called again.
        """
        self.redirection.uninstall()
        for engine, original in zip(self.engines, self._originals, strict=False):
            engine.sync_engine.pool = original
        for base in self._bases:
            await dispose_pool(base)
        self._originals, self._bases = [], []
        self._worker, self._is_built = None, False
        await self._drop_all()

    async def _build_once(self) -> None:
        if self._is_built:
            return
        if self._failure is not None:
            raise SandboxError(str(self._failure)) from self._failure.__cause__
        self.install()  # without it, everything would go to the database of the URL
        try:
            target = await self._make_empty()
            with building_pools(self.engines, self._bases) as pools, leading_to(target):
                try:
                    await build_schema(self.engines[0], target, self.settings)
                finally:
                    for pool in pools:
                        await dispose_pool(pool)
            await self._seal()
        except SandboxError as exc:
            self._failure = exc
            await self._drop_all()
            raise
        except BaseException:
            await self._drop_all()
            raise
        self._is_built = True

    @abstractmethod
    async def _make_empty(self) -> ConnectTarget:
        """Make an empty database to build the template in."""

    @abstractmethod
    async def _seal(self) -> None:
        """Make what was built ready to be copied; nothing is connected to it any more."""

    @abstractmethod
    async def _make_worker(self) -> ConnectTarget:
        """Copy the template to the worker database."""

    @abstractmethod
    async def _drop_worker(self) -> None:
        """Drop the worker database; nothing is connected to it any more."""

    @abstractmethod
    async def _make_copy(self) -> ConnectTarget:
        """Copy the template for one test."""

    @abstractmethod
    async def _discard_copy(self, copy: ConnectTarget) -> None:
        """Drop such a copy."""

    @abstractmethod
    async def _drop_all(self) -> None:
        """Drop all databases that were made, also after a failure half-way."""


class _LockOfLoop:
    """A lock in each loop; of several loops only one runs at a time."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncGenerator[None, None]:
        """Hold the lock for a block."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._lock = loop, asyncio.Lock()
        async with self._lock:
            yield


def _refuse_creator(engine: AsyncEngine) -> None:
    if connects_by_itself(engine.sync_engine.pool):
        raise SandboxError(
            compose_message(
                f"the engine of {engine.url!r} connects with a function of its own (creator=, async_creator= or pool=)",
                cause="such an engine cannot be led to a copy: each test would use the database it always uses",
                fix="make the engine from a URL and connect_args in tests, or set uno_db_mode = off",
                anchor="database-creator",
            )
        )
