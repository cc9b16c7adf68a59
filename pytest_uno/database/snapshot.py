"""The snapshot sandbox: a database of its own for one test, with real connections and real commits."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, Pool
from sqlalchemy.util import greenlet_spawn

from pytest_uno.database.callers import follow_callers, forget_callers
from pytest_uno.database.observed_connections import ObservedConnections
from pytest_uno.database.records import SandboxEnd, TransactionRecord
from pytest_uno.database.sandbox.journal import Journal
from pytest_uno.database.sandbox.observing import ObservingSandbox
from pytest_uno.database.sandbox.pool import BlockedPool
from pytest_uno.database.sqlalchemy_internals import creator_of, open_to_the_end, options_like
from pytest_uno.database.templates.redirection import ConnectTarget
from pytest_uno.database.templates.routing import dispose_pool
from pytest_uno.database.templates.template import Template
from pytest_uno.database.user_frames import UserFrames

__all__ = ["SnapshotSandbox"]


class SnapshotSandbox(ObservingSandbox):
    """A private copy of the template, made when the test opens its first connection.

    Must be started, used and stopped in one event loop. One at a time for each template.

    Args:
        template: what is copied; it must be installed.
        root: the folder that the user's files are named relative to; the current one if None.
    """

    mode: Literal["snapshot"] = "snapshot"

    def __init__(self, template: Template, *, root: Path | None = None) -> None:
        self._template = template
        super().__init__(Journal(UserFrames(root)))
        self._observed = ObservedConnections(self._journal)
        self._replaced: list[tuple[AsyncEngine, Pool]] = []
        self._pools: list[Pool] = []
        self._copying: asyncio.Lock | None = None
        self._copy: ConnectTarget | None = None

    @property
    def transactions(self) -> tuple[TransactionRecord, ...]:
        """The transactions that have ended, in this order."""
        self._observed.settle()
        return super().transactions

    @property
    def is_open(self) -> bool:
        """The test has used the database."""
        return self._copy is not None

    # -- begin and end
    def start(self) -> None:
        """Give the engines pools of their own; no connection is opened, and no copy made."""
        for engine in self._template.engines:
            pool = engine.sync_engine.pool
            own = open_to_the_end(_pool_like(pool.replaced if isinstance(pool, BlockedPool) else pool))
            engine.sync_engine.pool = own
            self._replaced.append((engine, pool))
            self._pools.append(own)
        self._template.redirection.source = self._find_copy
        self._observed.listen(self._template.engines, self._pools)
        follow_callers(self._journal.frames.capture)

    async def stop(self) -> SandboxEnd:
        """Close every connection, throw the copy away and give the engines their pools back, whatever happens.

        Returns:
            Nothing: there is no way out of a copy.
        """
        self._observed.settle()
        for (engine, pool), own in zip(self._replaced, tuple(self._pools), strict=True):
            current = engine.sync_engine.pool
            if current is not own:
                self._pools.append(current)  # the application has called dispose(), which makes a new pool
            engine.sync_engine.pool = pool
        self._template.redirection.source = self._template.worker
        try:
            await greenlet_spawn(self._observed.invalidate_open)
            for own in self._pools:
                await dispose_pool(own)
        finally:
            self._observed.stop_listening()
            forget_callers(self._journal.frames.capture)
            self._pools.clear()
            self._replaced.clear()
            copy, self._copy = self._copy, None
            if copy is not None:
                await self._template.discard_copy(copy)
        return SandboxEnd(None)

    async def _find_copy(self) -> ConnectTarget:
        if self._copying is None:
            self._copying = asyncio.Lock()
        async with self._copying:
            if self._copy is None:
                self._copy = await self._template.make_copy()
        return self._copy


def _pool_like(pool: Pool) -> Pool:
    """Return a new pool like another one, or one with several connections where that has a single one for all."""
    if isinstance(pool, (AsyncAdaptedQueuePool, NullPool)):
        return pool.recreate()
    options: dict[str, Any] = options_like(pool)
    return AsyncAdaptedQueuePool(creator_of(pool), **options)
