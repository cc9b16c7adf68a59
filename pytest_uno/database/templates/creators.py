"""How an engine connects: by its URL, or with a function of the user's."""

from __future__ import annotations

from sqlalchemy.pool import Pool

from pytest_uno.database.sqlalchemy_internals import creator_of

__all__ = ["connects_by_itself"]


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
