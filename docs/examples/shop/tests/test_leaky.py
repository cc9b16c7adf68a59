"""Tests that pass, of code that leaks: each of them fails for what it leaves behind, and for nothing else.

`run_demo.py` expects exactly these leaks, at the lines marked LEAK in `shop/careless.py`.
"""

from __future__ import annotations

import asyncio

import pytest

from shop import careless
from shop.payments import PaymentClient
from shop.receipts import Outbox, Receipt
from shop.sandbox import SandboxProvider

pytestmark = pytest.mark.uno_async

RECEIPT = Receipt(1, "ada@example.org", 450)


async def test_a_receipt_is_sent(outbox: Outbox) -> None:
    queue: asyncio.Queue[Receipt] = asyncio.Queue()
    careless.start_poller(queue, outbox)
    queue.put_nowait(RECEIPT)
    while not outbox.sent:
        await asyncio.sleep(0)


async def test_a_poller_can_start_before_there_is_work(outbox: Outbox) -> None:
    careless.start_poller(asyncio.Queue(), outbox)
    assert outbox.sent == []


async def test_a_customer_is_charged_later(payments: PaymentClient, provider: SandboxProvider) -> None:
    provider.answer_next(402)
    charging = careless.charge_later(payments, order_id=1, amount=450)
    await asyncio.wait([charging])
    assert len(provider.requests) == 1


async def test_a_receipt_is_on_its_way(outbox: Outbox) -> None:
    careless.send_receipt(outbox, RECEIPT)


async def test_an_outbox_opens() -> None:
    outbox = await careless.open_outbox()
    assert outbox.is_open


async def test_there_is_no_order() -> None:
    assert await careless.count_orders() == 0
