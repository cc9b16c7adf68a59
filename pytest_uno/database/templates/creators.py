"""How an engine connects: by its URL, or with a function of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.pool import Pool

__all__ = ["connects_by_itself", "creator_of"]


def connects_by_itself(pool: Pool) -> bool:
    """Say whether a pool was given a function that connects: it never calls `do_connect` listeners.

    Args:
        pool: the pool of an engine.
    """
    creator = creator_of(pool)
    return (
        getattr(creator, "__module__", None) != "sqlalchemy.engine.create"
        or getattr(creator, "__qualname__", None) != "create_engine.<locals>.connect"
    )


def creator_of(pool: Pool) -> Callable[..., Any]:
    """Return the function that a pool connects with.

    SQLAlchemy tells nobody which that is. The one that `create_engine` makes calls the listeners of `do_connect`.

    Args:
        pool: the pool of an engine.
    """
    return pool._creator  # pyright: ignore[reportPrivateUsage]
