"""Private names of SQLAlchemy that the leak detectors use, each with its reason."""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Generator
from typing import Any, cast

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import ConnectionPoolEntry, Pool, base

__all__ = ["CLEANUP", "is_collection", "is_made_by_user", "pool_of", "proxy_of", "silenced"]

CLEANUP = (base, "_finalize_fairy")
"""The function that is called for each connection that comes back, or that the garbage collector takes. The events say
neither which of several users of one connection it is, nor can they keep SQLAlchemy's warning back."""

_WARNING = "The garbage collector"


def is_collection(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Say whether a call of `CLEANUP` is for a connection that the garbage collector has taken.

    Args:
        args: the arguments after the pool. In SQLAlchemy 2.0 the first is the dead reference to what was handed out.
        kwargs: the arguments with names. SQLAlchemy 2.1 says it with one of them.
    """
    return bool(kwargs.get("is_gc_cleanup")) or isinstance(args[0], weakref.ref)


def proxy_of(kind: Any, target: object) -> Any:
    """Return the asynchronous object that stands before a synchronous one; None if there is none any more.

    The only way from one to the other.

    Args:
        kind: the class of the asynchronous object.
        target: the synchronous one.
    """
    return kind._retrieve_proxy_for_target(target, regenerate=False)


def is_made_by_user(connection: Connection) -> bool:
    """Say whether a connection was made by `engine.connect()`, not by a session for itself.

    Args:
        connection: a connection that a session has just begun to use.
    """
    return proxy_of(AsyncConnection, connection) is not None


def pool_of(record: ConnectionPoolEntry) -> Pool:
    """Return the pool of an entry; the events of connections do not name it.

    Args:
        record: the entry.
    """
    return cast("Pool", getattr(record, "_ConnectionRecord__pool"))  # noqa: B009  (mangled)


class _Silent:
    """A pool that does not say that the garbage collector has taken a connection; its logger knows no other way."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.logger = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def debug(self, message: str, *arguments: object) -> None:
        self._pool.logger.debug(message, *arguments)

    def error(self, message: str, *arguments: object, **options: Any) -> None:
        if not message.startswith(_WARNING):
            self._pool.logger.error(message, *arguments, **options)


@contextlib.contextmanager
def silenced(pool: Pool) -> Generator[Any]:
    """Let SQLAlchemy say nothing of a connection that it cleans up in a block: it is reported.

    Yields:
        What stands for the pool.

    Args:
        pool: the pool.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _WARNING)
        yield _Silent(pool)
