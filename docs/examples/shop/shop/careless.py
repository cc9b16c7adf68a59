"""The same shop, written carelessly.

Every line marked LEAK leaves something behind, and `tests/test_leaky.py` shows what pytest-uno says about it.
The other modules do the same things properly.
"""

from __future__ import annotations

import asyncio

from sqlalchemy import func, select

from shop.database import sessions
from shop.models import Order
from shop.payments import PaymentClient
from shop.receipts import Outbox, Receipt


async def poll(queue: asyncio.Queue[Receipt], outbox: Outbox) -> None:
    """Send receipts for ever."""
    while True:
        await outbox.send(await queue.get())


def start_poller(queue: asyncio.Queue[Receipt], outbox: Outbox) -> None:
    """Start a task that nobody can stop; see `ReceiptWorker.start`."""
    asyncio.create_task(poll(queue, outbox), name="receipt-poller")  # LEAK[UNO101]


def charge_later(payments: PaymentClient, order_id: int, amount: int) -> asyncio.Task[str]:
    """Charge in a task whose failure nobody sees; see `Checkout.buy`."""
    return asyncio.create_task(payments.charge(order_id, amount), name="charge")  # LEAK[UNO102]


def send_receipt(outbox: Outbox, receipt: Receipt) -> None:
    """Send nothing: the `await` is missing; see `ReceiptWorker.submit`."""
    outbox.send(receipt)  # type: ignore[unused-coroutine]  # LEAK[UNO201]


async def open_outbox() -> Outbox:
    """Open an outbox that nobody closes; see `create_app`."""
    return await Outbox().__aenter__()  # LEAK[UNO501]


async def count_orders() -> int:
    """Count in a session that nobody closes; see `list_orders`."""
    session = sessions()  # LEAK[UNO301]
    return await session.scalar(select(func.count()).select_from(Order)) or 0
