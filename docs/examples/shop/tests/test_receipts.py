"""Receipts: a background task that the manager starts and ends."""

from __future__ import annotations

import logging

import pytest
from pytest_uno import AsyncManager

from shop.receipts import Outbox, Receipt, ReceiptWorker, RejectedAddressError

pytestmark = pytest.mark.uno_async

ADA = Receipt(1, "ada@example.org", 450)
NOBODY = Receipt(2, "nobody", 900)
BOB = Receipt(3, "bob@example.org", 100)


@pytest.fixture
async def worker(uno_manager: AsyncManager, outbox: Outbox) -> ReceiptWorker:
    """A running worker; the test's manager ends it."""
    worker = ReceiptWorker(outbox)
    worker.start()
    return worker


async def test_receipts_go_out_in_order(worker: ReceiptWorker, outbox: Outbox) -> None:
    worker.submit(ADA)
    worker.submit(BOB)
    await worker.flush()

    assert outbox.sent == [ADA, BOB]


async def test_a_bad_address_does_not_stop_the_worker(
    worker: ReceiptWorker, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        worker.submit(NOBODY)
        worker.submit(BOB)
        await worker.flush()

    assert outbox.sent == [BOB]
    assert worker.rejected == [NOBODY]
    assert "no receipt for order 2" in caplog.text


async def test_resending_reports_what_is_still_wrong(outbox: Outbox) -> None:
    worker = ReceiptWorker(outbox)
    worker.rejected = [NOBODY, ADA]

    with pytest.raises(ExceptionGroup) as caught:
        await worker.resend_rejected()

    assert caught.group_contains(RejectedAddressError, match="nobody")
    assert outbox.sent == [ADA]
    assert worker.rejected == [NOBODY]


async def test_what_is_queued_goes_out_before_the_end(outbox: Outbox) -> None:
    async with AsyncManager("closing time"):
        worker = ReceiptWorker(outbox)
        worker.start()
        worker.submit(ADA)

    assert outbox.sent == [ADA]
