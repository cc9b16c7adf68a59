"""Connections that stay open from test to test, for drivers whose connections belong to an event loop.

A loop that is wider than a test has a pool of its own, with the one connection of the sandboxes on it. It is closed
before the loop is.
"""

from __future__ import annotations

import asyncio

from sqlalchemy.pool import Pool

from pytest_uno.database.templates.routing import dispose_pool

__all__ = ["KeptConnections"]


class KeptConnections:
    """The pools of the loops that are wider than a test."""

    def __init__(self) -> None:
        self._pools: dict[asyncio.AbstractEventLoop, list[Pool]] = {}
        """The last one of each loop is in use; the others have connections to a database that is gone."""

    def pool_of(self, loop: asyncio.AbstractEventLoop, like: Pool) -> Pool:
        """Return the pool of a loop.

        Args:
            loop: the loop.
            like: the pool of an engine, which a new one is made like.
        """
        if loop not in self._pools:
            self._pools[loop] = [like.recreate()]
        return self._pools[loop][-1]

    def renew(self) -> None:
        """Use no connection any more that is there: the worker database was thrown away."""
        for pools in self._pools.values():
            pools.append(pools[-1].recreate())

    async def close(self) -> None:
        """Close the connections of the running loop, which ends."""
        for pool in self._pools.pop(asyncio.get_running_loop(), ()):
            await dispose_pool(pool)
