"""What the suite shares: one database for the session, the same for each test; plain pytest fixtures.

`uno_manager` is the test's own manager, which `get_async_manager()` returns in it; it is
shut down after the test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from pytest_uno import AsyncManager
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from shop.database import create_engine, create_schema, create_session_factory
from shop.models import Base, Product
from shop.orders import Checkout
from shop.payments import PaymentClient
from shop.receipts import Outbox, ReceiptWorker
from shop.sandbox import SandboxProvider


@pytest.fixture(scope="session")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AsyncEngine]:
    """The database, with its tables; built once."""
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('database') / 'shop.db'}")
    await create_schema(engine)
    yield engine
    await engine.dispose()


@pytest.fixture
async def sessions(engine: AsyncEngine) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """What opens sessions on a database in which there is tea, and no order."""
    factory = create_session_factory(engine)
    async with factory.begin() as session:
        session.add(Product(sku="tea", name="Tea", price=450, stock=10))
    yield factory
    async with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            await connection.execute(table.delete())


@pytest.fixture
async def session(sessions: async_sessionmaker[AsyncSession]) -> AsyncIterator[AsyncSession]:
    """A session of the test's own."""
    async with sessions() as session:
        yield session


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
def checkout(
    uno_manager: AsyncManager,
    sessions: async_sessionmaker[AsyncSession],
    payments: PaymentClient,
    receipts: ReceiptWorker,
) -> Checkout:
    """The checkout, on the test's database."""
    uno_manager.session_factory = sessions
    return Checkout(payments, receipts)
