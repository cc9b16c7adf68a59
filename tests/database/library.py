"""A small library: the schema that the sandbox is tested with."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["Author", "Base", "Book", "make_library", "names", "names_in"]


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)


class Book(Base):
    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("authors.id"))


async def make_library(engine: AsyncEngine) -> None:
    """Make the tables, empty."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)


async def names_in(connection: AsyncConnection) -> list[str]:
    """Return the names of the authors, sorted."""
    rows: Sequence[str] = (
        (await connection.execute(select(Author.name).order_by(func.lower(Author.name)))).scalars().all()
    )
    return list(rows)


async def names(engine: AsyncEngine) -> list[str]:
    """Return the names of the authors, sorted, by a connection of their own."""
    async with engine.connect() as connection:
        return await names_in(connection)
