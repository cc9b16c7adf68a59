"""What the shop is about: reserving stock, taking money, and never doing only one of the two."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from pytest_uno import transaction, transaction_manager
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shop.models import Order, OrderStatus, Product
from shop.payments import PaymentClient, PaymentDeclined, PaymentUnavailable
from shop.rate_limit import RateLimit
from shop.receipts import Receipt, ReceiptWorker

logger = logging.getLogger(__name__)

UNSETTLED_AFTER = timedelta(hours=1)


class UnknownProductError(LookupError):
    """There is no such product."""


class OutOfStockError(Exception):
    """There is not enough of the product."""


async def place_order(session: AsyncSession, *, email: str, sku: str, quantity: int) -> Order:
    """Reserve stock and write the order down: both or nothing.

    Inside a transaction of the caller this is a savepoint, otherwise a transaction of its own.

    Raises:
        UnknownProductError: there is no such product.
        OutOfStockError: there is not enough of it.
    """
    async with transaction(session):
        product = await session.get(Product, sku)
        if product is None:
            raise UnknownProductError(sku)
        # One statement takes the stock: read-then-write would sell the last item twice.
        taken = await session.scalar(
            update(Product)
            .where(Product.sku == sku, Product.stock >= quantity)
            .values(stock=Product.stock - quantity)
            .returning(Product.sku)
        )
        if taken is None:
            raise OutOfStockError(sku)
        order = Order(email=email, sku=sku, quantity=quantity, total=product.price * quantity)
        session.add(order)
    return order


async def mark_paid(session: AsyncSession, order: Order, payment_id: str) -> Order:
    """Write down that an order is paid."""
    async with transaction(session):
        order = await session.merge(order)
        order.status = OrderStatus.PAID
        order.payment_id = payment_id
    return order


async def cancel_order(session: AsyncSession, order: Order) -> Order:
    """Cancel an order and give its stock back."""
    async with transaction(session):
        order = await session.merge(order)
        order.status = OrderStatus.CANCELLED
        await session.execute(
            update(Product).where(Product.sku == order.sku).values(stock=Product.stock + order.quantity)
        )
    return order


class Checkout:
    """The way from a click to a paid order.

    Sessions come from the current manager (`manager.session_factory`), so a test that has a manager of its
    own has a database of its own.
    """

    def __init__(self, payments: PaymentClient, receipts: ReceiptWorker) -> None:
        self._payments = payments
        self._receipts = receipts
        # Orders that can wait leave most of what the provider allows us to the customers who do not.
        self._settling = RateLimit(10, per=60)

    async def buy(self, *, email: str, sku: str, quantity: int) -> Order:
        """Reserve, charge, and queue the receipt.

        No transaction is open while the provider is asked: it may take seconds, and a lock must not.

        Raises:
            UnknownProductError: there is no such product.
            OutOfStockError: there is not enough of it.
            PaymentDeclined: the order is cancelled and the stock given back.
            PaymentUnavailable: it is unknown whether the customer was charged, so the order stays pending.
        """
        async with transaction_manager() as session:
            order = await place_order(session, email=email, sku=sku, quantity=quantity)
        return await self._settle(order)

    async def settle_pending(self) -> None:
        """Find out what became of the payments that were unknown an hour ago, ten orders a minute.

        An order whose payment stays unknown stays pending, for the next time.
        """
        async with transaction_manager() as session:
            pending = await session.scalars(
                select(Order)
                .where(Order.status == OrderStatus.PENDING)
                .where(Order.placed_at <= datetime.now(UTC) - UNSETTLED_AFTER)
                .order_by(Order.id)
            )
            orders = pending.all()
        for order in orders:
            await self._settling.wait_for_turn()
            try:
                await self._settle(order)
            except (PaymentDeclined, PaymentUnavailable) as error:
                logger.warning("order %d is not paid: %s", order.id, error)

    async def _settle(self, order: Order) -> Order:
        # Once or twice for the same order is the same to the provider.
        try:
            payment_id = await self._payments.charge(order.id, order.total)
        except PaymentDeclined:
            async with transaction_manager() as session:
                await cancel_order(session, order)
            raise
        async with transaction_manager() as session:
            order = await mark_paid(session, order, payment_id)
        self._receipts.submit(Receipt(order.id, order.email, order.total))
        return order
