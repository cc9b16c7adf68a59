"""Pools for the time in which a template is built, and what is known of an engine's own pool."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import Pool, PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from pytest_uno.database.sqlalchemy_internals import creator_of, dialect_of
from pytest_uno.database.templates.redirection import current_target

__all__ = ["building_pools", "dispose_pool"]


class _RoutingPool(Pool):
    """Serves the task that builds from one pool, and everybody else from the pool that was there."""

    def __init__(self, built: Pool, others: Pool) -> None:
        super().__init__(creator=creator_of(built), dialect=dialect_of(built))
        self.others = others
        self._built = built

    def connect(self) -> PoolProxiedConnection:
        return (self.others if current_target.get() is None else self._built).connect()

    def status(self) -> str:
        return self._built.status()

    def dispose(self) -> None:
        if current_target.get() is None:
            self.others.dispose()

    def recreate(self) -> Pool:
        return self


@contextlib.contextmanager
def building_pools(
    engines: Sequence[AsyncEngine], bases: Sequence[Pool]
) -> Generator[list[Pool], None, None]:
    """Give the engines a second pool each, for the tasks with a `current_target`.

    Yields:
        The second pools. The caller must dispose of them.

    Args:
        engines: the engines.
        bases: a pool of the kind that is wanted for each.
    """
    pools = [base.recreate() for base in bases]
    routers = [
        _RoutingPool(pool, engine.sync_engine.pool) for pool, engine in zip(pools, engines, strict=True)
    ]
    for engine, router in zip(engines, routers, strict=True):
        engine.sync_engine.pool = router
    try:
        yield pools
    finally:
        for engine, router in zip(engines, routers, strict=True):
            if engine.sync_engine.pool is router:
                engine.sync_engine.pool = router.others


async def dispose_pool(pool: Pool) -> None:
    """Close what a pool of an asyncio engine has open.

    Args:
        pool: the pool.
    """
    await greenlet_spawn(pool.dispose)
