"""What a user writes, seen by the type checkers alone: nothing here is run.

`assert_type` is an error for mypy and pyright when a type is another than the one named.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, assert_type

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
)

import pytest_uno
from pytest_uno import (
    AsyncManager,
    AsyncResource,
    BackoffStrategy,
    ManagerClosedError,
    ReadOnlyTransactionError,
    ResourceError,
    TaskGroup,
    TaskLeakError,
    TransactionContext,
    UnoError,
    UnoLeakWarning,
    as_task,
    create_read_transaction_manager,
    create_transaction_manager,
    create_write_transaction_manager,
    get_async_manager,
    readonly_transaction,
    retry,
    run_application,
    timeout,
    transaction,
    transaction_manager,
    use_manager,
)
from pytest_uno.core.async_manager import get_async_manager as get_manager_of_the_original_import_path


class Connection:
    async def send(self, text: str) -> int:
        return len(text)

    async def aclose(self) -> None: ...


class Cache(AsyncResource):
    def __init__(self, size: int) -> None:
        super().__init__("cache")
        self.size = size

    async def _initialize(self) -> None: ...

    async def _cleanup(self) -> None: ...


@asynccontextmanager
async def open_connection() -> AsyncGenerator[Connection, None]:
    yield Connection()


async def count(text: str, *, times: int = 1) -> int:
    return len(text) * times


# -- managers


def report(task: asyncio.Task[Any], error: BaseException) -> None: ...


async def use_managers() -> None:
    assert_type(get_async_manager(), AsyncManager)
    assert_type(get_manager_of_the_original_import_path(), AsyncManager)
    manager = AsyncManager(
        "orders",
        shutdown_timeout=5,
        close_timeout=1.5,
        on_task_error=report,
        logger=logging.getLogger("orders"),
    )
    assert_type(manager.name, str)
    assert_type(manager.stop_signal, signal.Signals | None)
    async with manager as entered:
        assert_type(entered, AsyncManager)
        task = entered.create_task(count("text"), name="counts")
        assert_type(task, asyncio.Task[int])
        assert_type(await task, int)
        assert_type(entered.tasks, frozenset[asyncio.Task[Any]])
        assert_type(entered.failures, tuple[asyncio.Task[Any], ...])
    with use_manager(manager) as current:
        assert_type(current, AsyncManager)
    manager.request_shutdown()
    await manager.shutdown()


async def use_applications() -> None:
    async def start_up() -> None: ...

    def clean_up() -> None: ...

    stopped_by = await run_application(start_up, clean_up, manager=AsyncManager(), signals=[signal.SIGTERM])
    assert_type(stopped_by, signal.Signals | None)


# -- tasks


async def use_task_groups(manager: AsyncManager) -> None:
    async with TaskGroup("workers", cancel_on_error=False, history=10) as group:
        assert_type(group, TaskGroup)
        task = group.create_task(count("text"), name="one")
        assert_type(task, asyncio.Task[int])
        assert_type(group.name, str)
        assert_type(group.host_task, asyncio.Task[Any] | None)
        assert_type(group.tasks, list[asyncio.Task[Any]])
        assert_type(group.active_tasks, list[asyncio.Task[Any]])
        assert_type(group.completed_tasks, list[asyncio.Task[Any]])
        assert_type(group.cancelled_tasks, list[asyncio.Task[Any]])
        assert_type(group.failed_tasks, list[asyncio.Task[Any]])
        group.cancel()
        await group.cancel_all("enough")
    plain: asyncio.TaskGroup = group  # wherever the standard library's is asked for
    async with manager.task_group("managed", cancel_on_error=True, history=None) as managed:
        assert_type(managed, TaskGroup)
    del plain


@as_task
async def send_bare(text: str, times: int = 1) -> bytes:
    return text.encode() * times


@as_task("sends")
async def send_named(text: str) -> bytes:
    return text.encode()


@as_task()
async def send_unnamed() -> bytes:
    return b""


async def use_as_task() -> None:
    assert_type(send_bare("text", times=2), asyncio.Task[bytes])
    assert_type(await send_named("text"), bytes)
    assert_type(await send_unnamed(), bytes)


# -- resources


async def use_resources(manager: AsyncManager) -> None:
    connection = await manager.register_resource(Connection(), "connection", close=lambda: None, timeout=2)
    assert_type(connection, Connection)
    assert_type(await manager.enter_resource(open_connection(), "other", timeout=2), Connection)
    assert_type(await manager.enter_resource(Cache(5)), Cache)
    assert_type(manager.resources, Mapping[str, Any])
    assert_type(manager.open_resources, tuple[Any, ...])
    assert_type(await manager.unregister_resource("connection"), bool)
    await manager.close_resource(connection)
    async with Cache(5) as cache:
        assert_type(cache, Cache)
        assert_type(cache.size, int)
        assert_type(cache.name, str)
        assert_type(cache.is_open, bool)
    await cache.close()


# -- retry


@retry
async def fetch_bare(url: str, *, limit: int = 1) -> list[str]:
    return [url] * limit


@retry(5)
async def fetch_often(url: str) -> list[str]:
    return [url]


async def tell(error: Exception, attempt: int, pause: float) -> None: ...


@retry(
    max_attempts=5,
    retry_exceptions=(ConnectionError, TimeoutError),
    base_delay=0.5,
    max_delay=10,
    backoff_strategy=BackoffStrategy.FULL_JITTER,
    backoff_factor=3,
    jitter_factor=0.5,
    retry_condition=lambda error: not isinstance(error, ConnectionRefusedError),
    on_retry=tell,
    timeout=30,
    rng=random.Random(1),
    logger=logging.getLogger("fetch"),
)
async def fetch_carefully(url: str) -> list[str]:
    return [url]


@retry(retry_exceptions=OSError, backoff_strategy="linear", on_retry=lambda error, attempt, pause: None)
async def fetch_by_name() -> None: ...


class Client:
    @retry
    async def get(self, key: str) -> int:
        return len(key)

    @retry(3)
    async def put(self, key: str) -> int:
        return len(key)


async def use_retry(client: Client) -> None:
    assert_type(await fetch_bare("url", limit=2), list[str])
    assert_type(await fetch_often("url"), list[str])
    assert_type(await fetch_carefully("url"), list[str])
    await fetch_by_name()
    assert_type(await client.get("key"), int)
    assert_type(await client.put("key"), int)


# -- time limits


async def use_timeouts() -> None:
    async with timeout(5, "the server did not answer") as limit:
        assert_type(limit, asyncio.Timeout)
        limit.reschedule(None)
    async with timeout(None):
        pass


# -- transactions


async def use_transactions(
    session: AsyncSession, connection: AsyncConnection, sessions: async_sessionmaker[AsyncSession]
) -> None:
    async with transaction(session) as same:
        assert_type(same, AsyncSession)
    async with readonly_transaction(connection) as reading:
        assert_type(reading, AsyncConnection)
    async with transaction_manager(sessions, read_only=True, autoflush=False) as opened:
        await opened.execute(select(1))
    open_transaction = create_transaction_manager(sessions, autoflush=False)
    assert_type(open_transaction, Callable[..., transaction_manager])
    async with open_transaction() as writing:
        await writing.execute(select(1))
    for make in (create_read_transaction_manager, create_write_transaction_manager):
        async with make(sessions)() as either:
            await either.execute(select(1))
    manager = get_async_manager()
    manager.session_factory = sessions
    async with transaction_manager() as default:
        await default.execute(select(1))


def take_context(block: TransactionContext[AsyncSession]) -> None:
    assert_type(block, transaction[AsyncSession])
    assert_type(block.session, AsyncSession)


# -- errors


def use_errors() -> None:
    errors: list[type[UnoError]] = [
        ManagerClosedError,
        ReadOnlyTransactionError,
        ResourceError,
        TaskLeakError,
    ]
    runtime: type[RuntimeError] = ManagerClosedError
    warning: type[UserWarning] = UnoLeakWarning
    del errors, runtime, warning
    assert_type(pytest_uno.__version__, str)


# -- tests


@pytest.fixture(scope="session")
async def engine() -> AsyncIterator[AsyncEngine]:
    engine = await get_async_manager().register_resource(make_engine())
    assert_type(engine, AsyncEngine)
    yield engine
    await engine.dispose()


def make_engine() -> AsyncEngine:
    raise NotImplementedError


@pytest.fixture
async def cache(uno_manager: AsyncManager) -> Cache:
    return await uno_manager.enter_resource(Cache(5))


@pytest.mark.uno_async
async def test_bare(uno_manager: AsyncManager, cache: Cache) -> None:
    assert_type(uno_manager.create_task(count("text")), asyncio.Task[int])
    assert cache.size == 5


@pytest.mark.uno_async(clock="real", real_timeout=5, leaks="warn", loop_scope="session")
class TestTogether:
    async def test_method(self, uno_manager: AsyncManager) -> None:
        async with uno_manager.task_group() as group:
            group.create_task(count("text"))

    @pytest.mark.uno_async(False)
    async def test_left_alone(self) -> None: ...
