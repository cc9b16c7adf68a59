"""How the shop reaches its database: one engine for the process, which opens nothing before its first use."""

from __future__ import annotations

import os

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from shop.models import Base

engine = create_async_engine(os.environ.get("SHOP_DATABASE_URL", "sqlite+aiosqlite:///shop.db"))

# Orders stay readable after their transaction has ended.
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def create_schema() -> None:
    """Create the tables that do not exist yet."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
