"""Gift cards in many hands at once: what holds in one order of events has to hold in every legal one."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from shop.gift_cards import NotEnoughMoneyError, UnknownCardError, redeem, top_up
from shop.models import GiftCard

Sessions = async_sessionmaker[AsyncSession]


async def issue_card(sessions: Sessions, balance: int) -> None:
    async with sessions() as session:
        session.add(GiftCard(code="spring", balance=balance))
        await session.commit()


async def read_balance(sessions: Sessions) -> int:
    async with sessions() as session:
        return (await session.get_one(GiftCard, "spring")).balance


@pytest.mark.uno_async(schedules=60)
async def test_no_payment_gets_lost(uno_session_factory: Sessions) -> None:
    await issue_card(uno_session_factory, 5000)

    async def spend() -> None:
        async with uno_session_factory() as session:
            await redeem(session, code="spring", amount=3000)

    async def pay_in() -> None:
        await asyncio.sleep(0.2)  # the provider takes its time
        async with uno_session_factory() as session:
            await top_up(session, code="spring", amount=2000)

    await asyncio.gather(spend(), pay_in())

    assert await read_balance(uno_session_factory) == 4000


@pytest.mark.uno_async(schedules=60)
async def test_the_last_money_is_spent_once(uno_session_factory: Sessions) -> None:
    await issue_card(uno_session_factory, 5000)

    async def spend() -> str:
        async with uno_session_factory() as session:
            try:
                await redeem(session, code="spring", amount=3000)
            except NotEnoughMoneyError:
                return "refused"
        return "spent"

    answers = await asyncio.gather(spend(), spend())

    assert Counter(answers) == {"spent": 1, "refused": 1}
    assert await read_balance(uno_session_factory) == 2000


@pytest.mark.uno_async
async def test_a_card_that_was_never_sold(uno_session_factory: Sessions) -> None:
    async with uno_session_factory() as session:
        with pytest.raises(UnknownCardError):
            await redeem(session, code="winter", amount=1)
        with pytest.raises(UnknownCardError):
            await top_up(session, code="winter", amount=1)
