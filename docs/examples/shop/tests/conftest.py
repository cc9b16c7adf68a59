"""What the suite shares: plain pytest fixtures.

The database is the shop's own: `pytest.ini` names its engine, and nothing that a test commits is there for the next.
`uno_manager` is the test's own manager, which `get_async_manager()` returns in it; it is shut down after the test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from pytest_uno import AsyncManager
from sqlalchemy.ext.asyncio import AsyncSession

from shop.api import create_app
from shop.orders import Checkout
from shop.payments import PaymentClient
from shop.receipts import Outbox, ReceiptWorker
from shop.sandbox import SandboxProvider


@pytest.fixture
def session(uno_session: AsyncSession) -> AsyncSession:
    """A session of the test's own."""
    return uno_session


@pytest.fixture
def provider() -> SandboxProvider:
    """The payment provider, in process."""
    return SandboxProvider()


@pytest.fixture
async def payments(provider: SandboxProvider) -> AsyncIterator[PaymentClient]:
    """The client, connected to that provider."""
    async with httpx.AsyncClient(base_url="https://pay.example", transport=provider.transport) as http:
        yield PaymentClient(http)


@pytest.fixture
async def outbox() -> AsyncIterator[Outbox]:
    """An open outbox."""
    async with Outbox() as outbox:
        yield outbox


@pytest.fixture
async def receipts(uno_manager: AsyncManager, outbox: Outbox) -> ReceiptWorker:
    """A running worker; the test's manager ends it."""
    worker = ReceiptWorker(outbox)
    worker.start()
    return worker


@pytest.fixture
def checkout(uno_manager: AsyncManager, payments: PaymentClient, receipts: ReceiptWorker) -> Checkout:
    """The checkout; the test's manager opens its sessions."""
    return Checkout(payments, receipts)


@pytest.fixture
async def app(provider: SandboxProvider) -> AsyncIterator[FastAPI]:
    """The real application, running, with tea to sell."""
    app = create_app("https://pay.example", staff_password="darjeeling", payment_transport=provider.transport)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody with a browser."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(base_url="https://shop.example", transport=transport) as client:
        yield client
