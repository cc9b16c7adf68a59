"""Operations on SQLAlchemy and aiosqlite that a cancellation breaks, each with a fixed twin."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import Update, event, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.explore.injection.cancellation_case import Cancellation

__all__ = ["DATABASE_CANCELLATIONS", "Bank"]


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]


class Bank:
    """A database with two accounts of 100, and an engine of it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.engine: AsyncEngine = create_async_engine(
            f"sqlite+aiosqlite:///{Path(self._folder.name, 'bank.db')}"
        )
        event.listen(self.engine.sync_engine, "connect", _write_fast)
        self.sessions: async_sessionmaker[AsyncSession] = async_sessionmaker(self.engine)

    @classmethod
    async def open(cls) -> Bank:
        bank = cls()
        async with bank.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with bank.sessions.begin() as session:
            session.add_all([Account(id=1, balance=100), Account(id=2, balance=100)])
        return bank

    async def close(self) -> None:
        await self.engine.dispose()
        self._folder.cleanup()

    async def total(self) -> int:
        async with self.sessions() as session:
            return (await session.execute(select(func.sum(Account.balance)))).scalar_one()


def _write_fast(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous = OFF")
    cursor.execute("PRAGMA journal_mode = MEMORY")
    cursor.close()


def _change(account: int, amount: int) -> Update:
    return update(Account).where(Account.id == account).values(balance=Account.balance + amount)


async def close(bank: Bank) -> None:
    await bank.close()


# c04: a connection without a context manager.
async def c04_buggy(bank: Bank) -> None:
    connection = await bank.engine.connect()
    await connection.execute(text("select 1"))
    await connection.commit()
    await connection.close()


async def c04_fixed(bank: Bank) -> None:
    async with bank.engine.connect() as connection:
        await connection.execute(text("select 1"))
        await connection.commit()


async def c04_check(bank: Bank) -> None:
    assert bank.engine.pool.checkedout() == 0, "connection not returned"  # type: ignore[attr-defined]


# c14: a unit of work that is split over two commits.
async def c14_buggy(bank: Bank) -> None:
    async with bank.sessions() as session:
        await session.execute(_change(1, -10))
        await session.commit()
        await session.execute(_change(2, 10))
        await session.commit()


async def c14_fixed(bank: Bank) -> None:
    async with bank.sessions() as session:
        await session.execute(_change(1, -10))
        await session.execute(_change(2, 10))
        await session.commit()


async def c14_check(bank: Bank) -> None:
    assert await bank.total() == 200, "money lost"


DATABASE_CANCELLATIONS = (
    Cancellation("c04", Bank.open, c04_buggy, c04_fixed, c04_check, close),
    Cancellation("c14", Bank.open, c14_buggy, c14_fixed, c14_check, close),
)
