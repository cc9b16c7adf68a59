"""Gift cards: money that was paid before, and may be spent by two people at once."""

from __future__ import annotations

from pytest_uno import transaction
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from shop.models import GiftCard


class UnknownCardError(LookupError):
    """There is no such gift card."""


class NotEnoughMoneyError(Exception):
    """There is less on the gift card than is asked for."""


async def redeem(session: AsyncSession, *, code: str, amount: int) -> int:
    """Spend money of a card and return what is left on it.

    Raises:
        UnknownCardError: there is no such card.
        NotEnoughMoneyError: there is less on it.
    """
    async with transaction(session):
        # One statement looks and takes: read-then-write would spend the same money twice.
        left: int | None = await session.scalar(
            update(GiftCard)
            .where(GiftCard.code == code, GiftCard.balance >= amount)
            .values(balance=GiftCard.balance - amount)
            .returning(GiftCard.balance)
        )
        if left is None:
            if await session.get(GiftCard, code) is None:
                raise UnknownCardError(code)
            raise NotEnoughMoneyError(code)
    return left


async def top_up(session: AsyncSession, *, code: str, amount: int) -> int:
    """Put money on a card and return what is on it then.

    Raises:
        UnknownCardError: there is no such card.
    """
    async with transaction(session):
        balance: int | None = await session.scalar(
            update(GiftCard)
            .where(GiftCard.code == code)
            .values(balance=GiftCard.balance + amount)
            .returning(GiftCard.balance)
        )
        if balance is None:
            raise UnknownCardError(code)
    return balance
