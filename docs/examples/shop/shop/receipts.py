"""Receipts are mailed in the background, so that no customer waits for the mail relay."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from pytest_uno import AsyncResource, TaskGroup, get_async_manager, retry

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Receipt:
    """What is mailed to the customer of a paid order."""

    order_id: int
    email: str
    total: int


class RejectedAddressError(Exception):
    """The mail relay does not accept the address."""


class Outbox(AsyncResource):
    """The connection to the mail relay.

    This one keeps what it sends; a real one would log in to an SMTP server.
    """

    def __init__(self) -> None:
        super().__init__("outbox")
        self.sent: list[Receipt] = []
        self._connected = False

    async def _initialize(self) -> None:
        self._connected = True

    async def _cleanup(self) -> None:
        self._connected = False

    async def send(self, receipt: Receipt) -> None:
        """Send one receipt.

        Raises:
            RejectedAddressError: the address is none.
            ConnectionError: the relay cannot be reached, or the outbox is not open.
        """
        if not self._connected:
            raise ConnectionError("the outbox is not open")
        if "@" not in receipt.email:
            raise RejectedAddressError(receipt.email)
        self.sent.append(receipt)


class ReceiptWorker:
    """Sends receipts one after the other, in a task of the current manager.

    The manager ends it: its shutdown hook lets the queue run dry, then the task is cancelled.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.undelivered: list[Receipt] = []
        self._outbox = outbox
        self._queue: asyncio.Queue[Receipt] = asyncio.Queue()

    def start(self) -> None:
        """Start sending; call it once, where the manager is current."""
        manager = get_async_manager()
        manager.create_task(self._drain(), name="receipts")
        manager.add_shutdown_hook(self.flush)

    def submit(self, receipt: Receipt) -> None:
        """Queue a receipt; returns at once."""
        self._queue.put_nowait(receipt)

    async def flush(self) -> None:
        """Wait until every queued receipt was sent or given up."""
        await self._queue.join()

    async def resend_undelivered(self) -> None:
        """Try the undelivered receipts again, all at once; one bad address does not stop the others.

        Raises:
            ExceptionGroup: of what went wrong; those receipts stay undelivered.
        """
        receipts, self.undelivered = self.undelivered, []
        async with TaskGroup("resend", cancel_on_error=False) as group:
            for receipt in receipts:
                group.create_task(self._send(receipt))

    async def _drain(self) -> None:
        while True:
            receipt = await self._queue.get()
            try:
                await self._send(receipt)
            except Exception:  # whatever it is, the next customer's receipt must go out
                logger.exception("no receipt for order %d", receipt.order_id)
            finally:
                self._queue.task_done()

    async def _send(self, receipt: Receipt) -> None:
        try:
            await self._deliver(receipt)
        except (RejectedAddressError, ConnectionError):
            self.undelivered.append(receipt)
            raise

    # The relay is away for some minutes now and then: pauses of 1, 2, 4 ... 32 s, then a minute each.
    @retry(max_attempts=12, retry_exceptions=ConnectionError, base_delay=1, max_delay=60)
    async def _deliver(self, receipt: Receipt) -> None:
        await self._outbox.send(receipt)
