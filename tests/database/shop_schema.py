"""The schema and the seed that the tests of the templates name in their settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import registry

metadata = MetaData()
items = Table(
    "items", metadata, Column("id", Integer, primary_key=True), Column("name", String(40), unique=True)
)


class Item:
    def __init__(self, name: str) -> None:
        self.name = name


registry().map_imperatively(Item, items)

not_metadata = 3
engine = create_async_engine("sqlite+aiosqlite:///nowhere/absent.db")

calls: list[str] = []
"""What was called, for the tests that count."""


class Base:
    metadata = metadata


def make_engine() -> AsyncEngine:
    return engine


async def make_engine_late() -> AsyncEngine:
    return engine


async def seed(session: AsyncSession) -> None:
    calls.append("seed")
    await session.execute(insert(items).values(name="seeded"))


async def failing_seed(session: AsyncSession) -> None:
    calls.append("failing seed")
    raise LookupError("no such price")


def make_tables(connection: Connection) -> None:
    metadata.create_all(connection)


async def make_tables_async(connection: AsyncConnection) -> None:
    await connection.run_sync(metadata.create_all)


async def names(engine: AsyncEngine) -> Sequence[str]:
    async with engine.connect() as connection:
        return (await connection.execute(select(items.c.name).order_by(items.c.id))).scalars().all()


async def add(engine: AsyncEngine, name: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(items).values(name=name))


async def scalar(engine: AsyncEngine, statement: str) -> Any:
    async with engine.connect() as connection:
        return (await connection.execute(text(statement))).scalar()
