"""What the shop is about: reserving stock, taking money, and never doing only one of the two."""

from __future__ import annotations

from pytest_uno import transaction, transaction_manager
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from shop.models import Order, OrderStatus, Product
from shop.payments import PaymentClient, PaymentDeclined
from shop.receipts import Receipt, ReceiptWorker


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
