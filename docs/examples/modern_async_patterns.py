"""The complete example: every primitive at work in one small program.

An order service takes orders from a queue, reserves stock in a database, and charges a payment service that
fails now and then. It shows structured concurrency, transactions, resources, error handling, retries,
time-outs, signals and a graceful shutdown. Run it:

    python docs/examples/modern_async_patterns.py

It needs nothing but this package: the database is SQLite in memory, and the program sends itself the SIGTERM
that a process manager would send.
"""

from __future__ import annotations

import asyncio
import signal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import StaticPool

from pytest_uno import (
    AsyncManager,
    AsyncResource,
    as_task,
    get_async_manager,
    retry,
    run_application,
    timeout,
    transaction,
    transaction_manager,
)

STOCK = {"tea": 5, "coffee": 2}
ORDERS = [("tea", 2), ("coffee", 1), ("tea", 9), ("cocoa", 1), ("coffee", 1)]


class OutOfStockError(Exception):
    """There is less in stock than was ordered."""


class PaymentError(Exception):
    """The payment service could not be reached."""


# --------------------------------------------------------------------------------------------- resources


class PaymentService(AsyncResource):
    """A connection to another service. Every other call fails, and a reconciliation never ends."""

    def __init__(self) -> None:
        super().__init__("payments")
        self.calls = 0

    async def _initialize(self) -> None:
        print("payments: connected")

    async def _cleanup(self) -> None:
        print("payments: disconnected")

    # The retry waits on the event loop's clock, so that tests under a virtual clock take no time.
    @retry(max_attempts=3, retry_exceptions=PaymentError, base_delay=0.001)
    async def charge(self, item: str, count: int) -> None:
        self.calls += 1
        if self.calls % 2:
            raise PaymentError(f"call {self.calls} was lost")
        print(f"payments: charged {count} x {item} at call {self.calls}")

    async def reconcile(self) -> None:
        await asyncio.Event().wait()


async def open_database() -> async_sessionmaker[AsyncSession]:
    """Open the database, have it closed at shutdown, and fill it in one transaction."""
    manager = get_async_manager()
    # All sessions share the one connection: an SQLite database in memory belongs to its connection.
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    await manager.register_resource(engine, "database", close=engine.dispose)
    factory = async_sessionmaker(engine, expire_on_commit=False)
    manager.session_factory = factory  # what transaction_manager() opens sessions with
    async with transaction_manager() as session:
        await session.execute(text("CREATE TABLE stock (item TEXT PRIMARY KEY, count INTEGER NOT NULL)"))
        for item, count in STOCK.items():
            await session.execute(
                text("INSERT INTO stock VALUES (:item, :count)"), {"item": item, "count": count}
            )
    return factory


# --------------------------------------------------------------------------------------------- one order


async def handle_order(payments: PaymentService, item: str, count: int) -> None:
    """Reserve and charge: both or neither."""
    async with transaction_manager() as session:
        async with transaction(session):  # inside another one: a savepoint
            found = await session.scalar(text("SELECT count FROM stock WHERE item = :item"), {"item": item})
            if found is None:
                raise LookupError(f"there is no {item}")
            await session.execute(
                text("UPDATE stock SET count = count - :count WHERE item = :item"),
                {"item": item, "count": count},
            )
            if found < count:
                raise OutOfStockError(f"{found} x {item} left, {count} ordered")  # rolls the update back
        await payments.charge(item, count)


async def take_orders(payments: PaymentService, queue: asyncio.Queue[tuple[str, int]]) -> None:
    """Handle orders until the manager ends this task. One bad order must not end it."""
    while True:
        item, count = await queue.get()
        try:
            await handle_order(payments, item, count)
        except (LookupError, OutOfStockError) as error:
            print(f"orders: refused: {error}")
        finally:
            queue.task_done()


@as_task("night shift")
async def reconcile(payments: PaymentService) -> None:
    """Run in the background; calling it starts a managed task."""
    try:
        async with timeout(0.01, "the reconciliation took too long"):
            await payments.reconcile()
    except TimeoutError as error:
        print(f"night shift: {error}")


# --------------------------------------------------------------------------------------------- together


async def check_suppliers() -> None:
    """Ask several suppliers at once; the answers of the others count although one fails."""

    async def ask(name: str) -> str:
        await asyncio.sleep(0)
        if name == "far":
            raise ConnectionError(f"no answer from {name}")
        return f"{name} is open"

    group = get_async_manager().task_group("suppliers", cancel_on_error=False)
    try:
        async with group:
            for name in ("near", "far", "next door"):
                group.create_task(ask(name), name=name)
    except* ConnectionError as errors:
        for error in errors.exceptions:
            print(f"suppliers: {error}")
    answers = [task.result() for task in group.completed_tasks if task not in group.failed_tasks]
    print("suppliers:", ", ".join(answers))


class OrderService:
    """What the application starts and cleans up."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    async def start(self) -> None:
        """Start everything up. Whatever is open when this fails is closed again."""
        manager = get_async_manager()
        await open_database()
        payments = await manager.enter_resource(PaymentService())
        await check_suppliers()
        manager.create_task(take_orders(payments, self.queue), name="orders")
        await reconcile(payments)
        print("service: ready")
        for order in ORDERS:
            self.queue.put_nowait(order)
        signal.raise_signal(signal.SIGTERM)  # in reality somebody else does that

    async def clean_up(self) -> None:
        """Handle what was ordered before the signal came; tasks and resources end only after this."""
        await self.queue.join()
        async with transaction_manager() as session:
            rows = await session.execute(text("SELECT item, count FROM stock ORDER BY item"))
            print("service: in stock:", ", ".join(f"{count} x {item}" for item, count in rows))


async def main() -> None:
    """Run the service until a signal ends it."""
    manager = AsyncManager("order service", shutdown_timeout=10)
    service = OrderService()
    stopped_by = await run_application(service.start, service.clean_up, manager=manager)
    print("service: stopped by", stopped_by.name if stopped_by else "itself")
    print(f"service: {len(manager.tasks)} tasks, {len(manager.open_resources)} open resources left")


if __name__ == "__main__":
    asyncio.run(main())
