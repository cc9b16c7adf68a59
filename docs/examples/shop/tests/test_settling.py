"""Settling: what becomes of an order whose payment was unknown."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest
from pytest_uno import transaction
from pytest_uno.clock import VirtualClock
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from shop.models import Order, OrderStatus, Product
from shop.orders import Checkout, place_order
from shop.payments import PaymentUnavailable
from shop.receipts import Outbox, ReceiptWorker
from shop.sandbox import SandboxProvider

pytestmark = pytest.mark.uno_async(start="2026-03-01T12:00Z")

HOUR = 3600


@pytest.fixture
async def unsettled(checkout: Checkout, provider: SandboxProvider) -> None:
    """An order for two packets of tea, whose payment is unknown."""
    provider.answer_next(500, 500, 500)
    with pytest.raises(PaymentUnavailable):
        await checkout.buy(email="ada@example.org", sku="tea", quantity=2)
    provider.requests.clear()


@pytest.mark.usefixtures("unsettled")
async def test_it_is_paid_when_the_provider_says_so(
    checkout: Checkout, receipts: ReceiptWorker, outbox: Outbox, session: AsyncSession
) -> None:
    await asyncio.sleep(HOUR)
    await checkout.settle_pending()
    await receipts.flush()

    assert await session.scalar(select(Order.status)) is OrderStatus.PAID
    assert [receipt.email for receipt in outbox.sent] == ["ada@example.org"]


@pytest.mark.usefixtures("unsettled")
async def test_what_is_settled_is_not_asked_about_again(
    checkout: Checkout, provider: SandboxProvider
) -> None:
    await asyncio.sleep(HOUR)
    await checkout.settle_pending()
    assert len(provider.requests) == 1

    await asyncio.sleep(24 * HOUR)
    await checkout.settle_pending()
    assert len(provider.requests) == 1


@pytest.mark.usefixtures("unsettled")
async def test_it_is_cancelled_when_the_provider_declines(
    checkout: Checkout, provider: SandboxProvider, session: AsyncSession
) -> None:
    await asyncio.sleep(HOUR)
    provider.answer_next(402)
    await checkout.settle_pending()

    assert await session.scalar(select(Order.status)) is OrderStatus.CANCELLED
    assert await session.scalar(select(Product.stock)) == 10


@pytest.mark.usefixtures("unsettled")
async def test_a_payment_of_this_hour_is_left_to_its_customer(
    checkout: Checkout, provider: SandboxProvider, uno_clock: VirtualClock
) -> None:
    uno_clock.travel_to("2026-03-01T12:59:59Z")
    await checkout.settle_pending()
    assert provider.requests == []

    uno_clock.travel_to("2026-03-01T13:00:01Z")
    await checkout.settle_pending()
    assert len(provider.requests) == 1


async def test_a_silent_provider_does_not_stop_the_others(
    checkout: Checkout, provider: SandboxProvider, session: AsyncSession, caplog: pytest.LogCaptureFixture
) -> None:
    async with transaction(session):
        for email in ("ada@example.org", "bob@example.org"):
            await place_order(session, email=email, sku="tea", quantity=1)
    await asyncio.sleep(HOUR)

    provider.answer_next(*[httpx.ConnectError("connection refused")] * 3)
    with caplog.at_level(logging.WARNING):
        await checkout.settle_pending()

    statuses = await session.scalars(select(Order.status).order_by(Order.id))
    assert statuses.all() == [OrderStatus.PENDING, OrderStatus.PAID]
    assert "is not paid: connection refused" in caplog.text


async def test_many_orders_are_settled_at_the_providers_pace(
    checkout: Checkout, session: AsyncSession, uno_clock: VirtualClock
) -> None:
    async with transaction(session):
        (await session.get_one(Product, "tea")).stock = 21
        for _ in range(21):
            await place_order(session, email="ada@example.org", sku="tea", quantity=1)
    await asyncio.sleep(HOUR)

    began = uno_clock.elapsed
    await checkout.settle_pending()

    assert uno_clock.elapsed - began == 2 * 60
    statuses = await session.scalars(select(Order.status))
    assert statuses.all() == [OrderStatus.PAID] * 21
