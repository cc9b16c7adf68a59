"""Every private name of SQLAlchemy that the sandbox uses, with the reason.

Public ways were tried first: a pool made with a `creator` fires the `connect` listeners for each connection it hands
out, and `PRAGMA foreign_keys` of such a listener is ignored inside a transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

from sqlalchemy import Dialect
from sqlalchemy.ext.asyncio.session import _AsyncSessionContextManager  # pyright: ignore[reportPrivateUsage]
from sqlalchemy.pool import Pool
from sqlalchemy.pool.base import _ConnectionRecord  # pyright: ignore[reportPrivateUsage]
from sqlalchemy.util import await_only, greenlet_spawn

from pytest_uno.core.uninterrupted import await_uninterrupted

__all__ = [
    "BEGUN_SESSION",
    "begins_in_autocommit",
    "creator_of",
    "dialect_of",
    "invalidate_taken",
    "is_abandoned",
    "make_record",
    "open_to_the_end",
    "options_like",
    "put_first",
    "resets_with_commit",
]

BEGUN_SESSION: type[Any] = _AsyncSessionContextManager
"""What `async_sessionmaker.begin()` returns; no public name leads to the class whose `async with` commits."""


def begins_in_autocommit(dialect: Dialect) -> bool:
    """Say whether an engine was made with `isolation_level="AUTOCOMMIT"`.

    That is set on the real connection when it is opened; there is no public way to ask for it.

    Args:
        dialect: the engine's dialect.
    """
    return getattr(dialect, "_on_connect_isolation_level", None) == "AUTOCOMMIT"


def make_record(pool: Pool, connection: object) -> Any:
    """Return an entry of a pool that hands out a connection, without the `connect` event.

    The real connection has had that event; the facade that stands for it must not have it again.

    Args:
        pool: the pool.
        connection: what stands for the DBAPI connection.
    """
    record = _ConnectionRecord(pool, connect=False)
    record.dbapi_connection = cast("Any", connection)
    record.starttime = time.time()
    return record


def dialect_of(pool: Pool) -> Dialect:
    """Return the dialect that a pool works for; `Engine.dialect` may be another object for a replaced pool.

    Args:
        pool: the pool.
    """
    return cast("Dialect", pool._dialect)  # pyright: ignore[reportPrivateUsage]


def options_like(pool: Pool) -> dict[str, Any]:
    """Return the arguments that let a new pool fire the listeners of another one.

    Args:
        pool: the other pool.
    """
    return {"dialect": dialect_of(pool), "_dispatch": pool.dispatch}


def resets_with_commit(pool: Pool) -> bool:
    """Say whether a pool commits what a returned connection has left open.

    Args:
        pool: the pool.
    """
    return getattr(pool._reset_on_return, "name", None) == "reset_commit"  # pyright: ignore[reportPrivateUsage]


def is_abandoned(record: Any) -> bool:
    """Say whether the garbage collector has taken what was checked out with an entry.

    Args:
        record: the entry, from `make_record`.
    """
    reference = record.fairy_ref
    return reference is not None and reference() is None


def creator_of(pool: Pool) -> Callable[..., Any]:
    """Return the function that a pool connects with.

    The one that `create_engine` makes calls the listeners of `do_connect`; one of the user's does not.

    Args:
        pool: the pool of an engine.
    """
    return pool._creator  # pyright: ignore[reportPrivateUsage]


def open_to_the_end(pool: Pool) -> Pool:
    """Let a pool, and those that are made of it, open each connection to its end, whoever is cancelled meanwhile.

    Drivers, and SQLAlchemy up to 2.0 between the driver's work and that of `connect` listeners, forget what they have
    opened when they are cancelled. The one place where a pool opens something is private.

    Args:
        pool: a pool of an asyncio engine; it is changed.
    """
    create, recreate = pool._create_connection, pool.recreate  # pyright: ignore[reportPrivateUsage]

    async def create_or_close() -> Any:
        made: list[Any] = []

        async def run() -> None:
            made.append(await greenlet_spawn(create))

        try:
            await await_uninterrupted(run())
        except asyncio.CancelledError:
            for record in made:
                await await_uninterrupted(greenlet_spawn(record.close))
            raise
        return made[0]

    def create_to_the_end() -> Any:
        return await_only(create_or_close())

    def recreate_like_this() -> Pool:
        return open_to_the_end(recreate())

    changed: Any = pool
    changed._create_connection = create_to_the_end
    changed.recreate = recreate_like_this
    return pool


def put_first(dialect: Dialect, listener: Callable[..., Any]) -> None:
    """Let a listener of `do_connect` be called before the others of the engine; `insert=True` has no effect there.

    Args:
        dialect: the engine's.
        listener: the listener that was added last.
    """
    listeners: Any = dialect.dispatch.do_connect
    assert listeners.listeners[-1] == listener
    listeners.listeners.rotate(1)


def invalidate_taken(record: Any) -> None:
    """Close a connection that somebody has taken, so that closing it late does no harm; must be called in a greenlet.

    Args:
        record: the entry, of any pool.
    """
    taken = None if record.fairy_ref is None else record.fairy_ref()
    (record if taken is None else taken).invalidate()
