"""Database drivers with a thread for each connection: aiosqlite, its like, and SQLAlchemy on top of them.

They put (future, function) on a queue, and their thread answers with `call_soon_threadsafe(setter, future, result)`.
The future is made right before it is put on the queue, so that the moment at which it is made is that of the request.
"""

from __future__ import annotations

import threading
from types import FrameType
from typing import Any

__all__ = ["DRIVERS", "connection_of", "ends_transaction"]

DRIVERS = {"aiosqlite", "aioduckdb"}
"""Top-level packages of this design; those of another need a provider, or come in order of arrival."""

_ADAPTER = "sqlalchemy.dialects.sqlite.aiosqlite"
"""SQLAlchemy sets the isolation level by a request of its own."""


def connection_of(maker: FrameType) -> object:
    """Return the connection that a request goes to; None when the future is not that of a request.

    Args:
        maker: the frame that makes a future.
    """
    module: str = maker.f_globals.get("__name__") or ""
    if module.partition(".")[0] not in DRIVERS and module != _ADAPTER:
        return None
    owner: Any = maker.f_locals.get("self")
    if module == _ADAPTER:
        owner = getattr(owner, "_connection", None)
    return threading.current_thread() if owner is None else owner


def ends_transaction(maker: FrameType) -> bool:
    """Say whether a request may free the locks of a database, for which others wait.

    Args:
        maker: the frame that makes the future of a request.
    """
    function: Any = maker.f_locals.get("fn")
    return getattr(function, "__name__", "") in ("commit", "rollback", "close")
