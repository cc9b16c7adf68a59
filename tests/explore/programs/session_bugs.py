"""Bugs between SQLAlchemy sessions on aiosqlite, each with its fixed twin."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.explore.programs.pairs import Pair, pair

SESSIONS: list[Pair] = []


class Base(DeclarativeBase):
    """Of the tables of these programs."""


class Account(Base):
    """An account with a balance, and a version."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]


@contextlib.asynccontextmanager
async def bank() -> AsyncIterator[AsyncEngine]:
    """Yield an engine on a database with one account of 100."""
    with tempfile.TemporaryDirectory() as folder:
        engine = create_async_engine(f"sqlite+aiosqlite:///{os.path.join(folder, 'bank.db')}")
        try:
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)
            async with AsyncSession(engine) as session, session.begin():
                session.add(Account(id=1, balance=100))
            yield engine
        finally:
            await engine.dispose()


async def balance_of(engine: AsyncEngine) -> int:
    async with AsyncSession(engine) as session:
        account = await session.get_one(Account, 1)
        return account.balance


async def deposit(engine: AsyncEngine, amount: int, *, is_atomic: bool) -> None:
    async with AsyncSession(engine) as session:
        if is_atomic:
            await session.execute(
                update(Account).where(Account.id == 1).values(balance=Account.balance + amount)
            )
        else:
            account = await session.get_one(Account, 1)
            account.balance += amount
        await session.commit()


@pair(SESSIONS)
async def lost_deposit(has_bug: bool) -> None:
    async with bank() as engine:

        async def client(looks: int, amount: int) -> None:
            for _ in range(looks):
                await balance_of(engine)
            await deposit(engine, amount, is_atomic=not has_bug)

        await asyncio.gather(client(0, 1), client(4, 2))
        assert await balance_of(engine) == 103


@pair(SESSIONS)
async def opened_twice(has_bug: bool) -> None:
    lock = asyncio.Lock()
    opened = 0
    async with bank() as engine:

        async def welcome() -> None:
            nonlocal opened
            if await balance_of(engine) == 100:
                await deposit(engine, 10, is_atomic=True)
                opened += 1

        async def visit(looks: int) -> None:
            for _ in range(looks):
                await balance_of(engine)
            if has_bug:
                await welcome()
            else:
                async with lock:
                    await welcome()

        await asyncio.gather(visit(0), visit(5))
    assert opened == 1, opened
