"""Orders: stock and money move together."""

from __future__ import annotations

import pytest
from pytest_uno import transaction
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shop.models import Order, OrderStatus, Product
from shop.orders import Checkout, OutOfStockError, UnknownProductError, cancel_order, place_order
from shop.payments import PaymentDeclined, PaymentUnavailable
from shop.receipts import Outbox, Receipt, ReceiptWorker
from shop.sandbox import SandboxProvider

pytestmark = pytest.mark.uno_async


async def stock_of(session: AsyncSession, sku: str) -> int:
    return (await session.execute(select(Product.stock).where(Product.sku == sku))).scalar_one()


async def count_orders(session: AsyncSession) -> int:
    return (await session.execute(select(func.count()).select_from(Order))).scalar_one()


async def test_an_order_takes_its_stock(session: AsyncSession) -> None:
    order = await place_order(session, email="ada@example.org", sku="tea", quantity=3)

    assert order.total == 1350
    assert order.status is OrderStatus.PENDING
    assert await stock_of(session, "tea") == 7


async def test_what_is_not_there_cannot_be_ordered(session: AsyncSession) -> None:
    with pytest.raises(OutOfStockError):
        await place_order(session, email="ada@example.org", sku="tea", quantity=11)

    assert await stock_of(session, "tea") == 10
    assert await count_orders(session) == 0


async def test_an_unknown_product_cannot_be_ordered(session: AsyncSession) -> None:
    with pytest.raises(UnknownProductError):
        await place_order(session, email="ada@example.org", sku="moonlight", quantity=1)


async def test_a_failed_order_leaves_the_callers_transaction_usable(session: AsyncSession) -> None:
    async with transaction(session):
        await place_order(session, email="ada@example.org", sku="tea", quantity=4)
        with pytest.raises(OutOfStockError):
            await place_order(session, email="bob@example.org", sku="tea", quantity=7)

    assert await stock_of(session, "tea") == 6
    assert await count_orders(session) == 1


async def test_a_cancelled_order_gives_its_stock_back(session: AsyncSession) -> None:
    order = await place_order(session, email="ada@example.org", sku="tea", quantity=3)

    cancelled = await cancel_order(session, order)

    assert cancelled.status is OrderStatus.CANCELLED
    assert await stock_of(session, "tea") == 10


async def test_buying_charges_and_sends_a_receipt(
    checkout: Checkout, receipts: ReceiptWorker, outbox: Outbox
) -> None:
    order = await checkout.buy(email="ada@example.org", sku="tea", quantity=2)
    await receipts.flush()

    assert order.status is OrderStatus.PAID
    assert order.payment_id == "payment-1"
    assert outbox.sent == [Receipt(order.id, "ada@example.org", 900)]


async def test_a_declined_payment_cancels_the_order(
    checkout: Checkout, provider: SandboxProvider, session: AsyncSession, outbox: Outbox
) -> None:
    provider.answer_next(402)

    with pytest.raises(PaymentDeclined):
        await checkout.buy(email="ada@example.org", sku="tea", quantity=2)

    assert await session.scalar(select(Order.status)) is OrderStatus.CANCELLED
    assert await stock_of(session, "tea") == 10
    assert outbox.sent == []


async def test_an_unknown_outcome_keeps_the_order_pending(
    checkout: Checkout, provider: SandboxProvider, session: AsyncSession
) -> None:
    provider.answer_next(500, 500, 500)

    with pytest.raises(PaymentUnavailable):
        await checkout.buy(email="ada@example.org", sku="tea", quantity=2)

    assert await session.scalar(select(Order.status)) is OrderStatus.PENDING
    assert await stock_of(session, "tea") == 8
