"""The database of a project that has configured none: SQLite, in memory, one for each process of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["make_embedded_engine"]


def make_embedded_engine() -> AsyncEngine:
    """Return a new engine for an empty database; it opens nothing before its first use."""
    from sqlalchemy.ext.asyncio import create_async_engine

    return create_async_engine("sqlite+aiosqlite://")
