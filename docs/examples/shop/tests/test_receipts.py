"""Receipts: a background task that the manager starts and ends."""

from __future__ import annotations

import asyncio
import logging

import pytest
from pytest_uno import AsyncManager
from pytest_uno.clock import VirtualClock

from shop.receipts import Outbox, Receipt, ReceiptWorker, RejectedAddressError

pytestmark = pytest.mark.uno_async

ADA = Receipt(1, "ada@example.org", 450)
NOBODY = Receipt(2, "nobody", 900)
BOB = Receipt(3, "bob@example.org", 100)

MINUTE = 60


class RestartingRelay(Outbox):
    """A mail relay that cannot be reached until a moment of the loop's clock."""

    def __init__(self, back_at: float) -> None:
        super().__init__()
        self.attempts: list[float] = []
        self._back_at = back_at

    async def send(self, receipt: Receipt) -> None:
        now = asyncio.get_running_loop().time()
        self.attempts.append(now)
        if now < self._back_at:
            raise ConnectionRefusedError("the relay is restarting")
        await super().send(receipt)


async def test_receipts_go_out_in_order(receipts: ReceiptWorker, outbox: Outbox) -> None:
    receipts.submit(ADA)
    receipts.submit(BOB)
    await receipts.flush()

    assert outbox.sent == [ADA, BOB]


async def test_a_bad_address_does_not_stop_the_worker(
    receipts: ReceiptWorker, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        receipts.submit(NOBODY)
        receipts.submit(BOB)
        await receipts.flush()

    assert outbox.sent == [BOB]
    assert receipts.undelivered == [NOBODY]
    assert "no receipt for order 2" in caplog.text


async def test_resending_reports_what_is_still_wrong(outbox: Outbox) -> None:
    worker = ReceiptWorker(outbox)
    worker.undelivered = [NOBODY, ADA]

    with pytest.raises(ExceptionGroup) as caught:
        await worker.resend_undelivered()

    assert caught.group_contains(RejectedAddressError, match="nobody")
    assert outbox.sent == [ADA]
    assert worker.undelivered == [NOBODY]


async def test_what_is_queued_goes_out_before_the_end(outbox: Outbox) -> None:
    async with AsyncManager("closing time"):
        worker = ReceiptWorker(outbox)
        worker.start()
        worker.submit(ADA)

    assert outbox.sent == [ADA]


async def test_a_relay_that_comes_back_gets_the_receipts_in_order(uno_clock: VirtualClock) -> None:
    async with RestartingRelay(back_at=5 * MINUTE) as relay, AsyncManager("shop"):
        worker = ReceiptWorker(relay)
        worker.start()
        worker.submit(ADA)
        worker.submit(BOB)
        await worker.flush()

    assert relay.sent == [ADA, BOB]
    assert relay.attempts == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 303]
    assert uno_clock.elapsed == 303


async def test_a_relay_that_stays_away_costs_no_receipt(
    uno_clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with RestartingRelay(back_at=60 * MINUTE) as relay, AsyncManager("shop"):
        worker = ReceiptWorker(relay)
        worker.start()
        worker.submit(ADA)
        with caplog.at_level(logging.ERROR):
            await worker.flush()
        assert "no receipt for order 1" in caplog.text
        assert worker.undelivered == [ADA]
        assert uno_clock.elapsed == 363

        await asyncio.sleep(60 * MINUTE)
        await worker.resend_undelivered()

    assert relay.sent == [ADA]
    assert worker.undelivered == []


async def test_a_shop_that_closes_waits_only_so_long_for_the_relay(uno_clock: VirtualClock) -> None:
    async def open_and_close(relay: Outbox) -> None:
        async with AsyncManager("shop", shutdown_timeout=30, close_timeout=10):
            worker = ReceiptWorker(relay)
            worker.start()
            worker.submit(ADA)

    async with RestartingRelay(back_at=60 * MINUTE) as relay:
        with pytest.raises(ExceptionGroup) as caught:
            await open_and_close(relay)

    assert caught.group_contains(TimeoutError, match=r"flush of 'shop' was cancelled")
    assert uno_clock.elapsed == 20  # what was kept for closing the rest was not needed
