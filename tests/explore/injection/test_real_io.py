"""Operations that do real I/O: threads, sockets, and connections of SQLAlchemy."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool

from pytest_uno.explore import InjectionError, assert_cancel_safe, assert_fault_safe
from pytest_uno.explore.injection.oracles import Scene
from pytest_uno.explore.injection.own_tasks import OwnTasks
from pytest_uno.explore.injection.pools import Pools
from tests.explore.injection.bank_database import Bank, close
from tests.explore.injection.loops import LOOPS, in_thread, run, run_on

# Threads.


class Account:
    def __init__(self) -> None:
        self.balance = 100
        self.is_open = False
        self._lock = threading.Lock()

    def take(self, amount: int) -> int:
        with self._lock:
            self.balance -= amount
        return amount


async def withdraw_and_forget(world: Any) -> None:
    world.account.is_open = True
    await in_thread(lambda: world.account.take(10))
    world.account.is_open = False


async def withdraw(world: Any) -> None:
    world.account.is_open = True
    try:
        await in_thread(lambda: world.account.take(10))
    finally:
        world.account.is_open = False


def make_account() -> Any:
    return SimpleNamespace(account=Account())


def is_closed(world: Any) -> bool:
    return not world.account.is_open


@LOOPS
def test_threads(kind: str) -> None:
    assert run_on(kind, assert_cancel_safe(withdraw, make_account, is_closed)) == 2
    with pytest.raises(InjectionError) as caught:
        run_on(kind, assert_cancel_safe(withdraw_and_forget, make_account, is_closed))
    assert [failure.only for failure in caught.value.failures] == ["wait@1", "wake@1"]


async def hurry(world: Any) -> None:
    for _ in range(3):
        await asyncio.to_thread(world.account.take, 1)


def test_a_thread_may_be_faster_than_the_loop() -> None:
    # From 3.14 on such an await may not suspend at all: then there is one await less to be cancelled.
    assert run(assert_cancel_safe(hurry, make_account)) <= 6


# Sockets.


class Shop:
    """A server that answers each line, and what it takes to reach it."""

    def __init__(self) -> None:
        self.open = 0
        self.server: Any = None

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while line := await reader.readline():
                writer.write(line.upper())
                await writer.drain()
        finally:
            self.open -= 1
            writer.close()

    @classmethod
    async def start(cls) -> Shop:
        shop = cls()
        shop.server = await asyncio.start_server(shop.answer, "127.0.0.1", 0)
        return shop

    async def stop(self) -> None:
        self.server.close()
        await self.server.wait_closed()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.server.sockets[0].getsockname())


@contextlib.asynccontextmanager
async def connected(shop: Shop) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await shop.connect()
    try:
        yield reader, writer
    finally:
        writer.close()


async def ask(shop: Shop) -> None:
    async with connected(shop) as (reader, writer):
        for line in (b"one\n", b"two\n"):
            writer.write(line)
            assert await reader.readline() == line.upper()


async def ask_and_forget(shop: Shop) -> None:
    reader, writer = await shop.connect()
    shop.writer = writer  # type: ignore[attr-defined]
    writer.write(b"one\n")
    assert await reader.readline() == b"ONE\n"
    writer.close()


def all_closed(shop: Shop) -> bool:
    writer = getattr(shop, "writer", None)
    return writer is None or writer.is_closing()


async def stop_by_force(shop: Shop) -> None:
    if hasattr(shop, "writer"):
        shop.writer.close()
    await shop.stop()


@LOOPS
def test_sockets(kind: str) -> None:
    # The server's tasks are not the operation's, although they begin while it runs.
    assert run_on(kind, assert_cancel_safe(ask, Shop.start, teardown=Shop.stop)) >= 4
    with pytest.raises(InjectionError) as caught:
        run_on(kind, assert_cancel_safe(ask_and_forget, Shop.start, all_closed, stop_by_force))
    assert {failure.place.code for failure in caught.value.failures if failure.place} == {
        'assert await reader.readline() == b"ONE\\n"'
    }


# SQLAlchemy.


async def lose(bank: Bank) -> None:
    connection = await bank.engine.connect()
    await connection.execute(text("select 1"))
    await connection.close()


@LOOPS
def test_a_lost_connection_is_found_without_a_check(kind: str) -> None:
    with pytest.raises(InjectionError) as caught:
        run_on(kind, assert_cancel_safe(lose, Bank.open, teardown=close))
    text = "left behind: a connection of world.engine is not back in the pool (sqlite+aiosqlite)"
    assert {problem for failure in caught.value.failures for problem in failure.problems} == {text}


def test_a_connection_that_is_lost_undisturbed_is_no_matter_of_injections() -> None:
    async def keep(bank: Bank) -> None:
        bank.kept = await (await bank.engine.connect()).get_raw_connection()  # type: ignore[attr-defined]

    async def close_kept(bank: Bank) -> None:
        kept = bank.kept  # type: ignore[attr-defined]
        await kept.driver_connection.close()  # its thread must end before the loop, which it reports to
        kept.invalidate()
        await bank.close()

    with pytest.raises(InjectionError, match="fails without any injection") as caught:
        run(assert_cancel_safe(keep, Bank.open, teardown=close_kept))
    assert "is not back in the pool" in str(caught.value)


def test_what_a_session_of_the_world_holds_is_fine() -> None:
    async def setup() -> Any:
        bank = await Bank.open()
        return SimpleNamespace(bank=bank, session=bank.sessions())

    async def read(world: Any) -> None:
        await world.session.execute(text("select 1"))

    async def tear_down(world: Any) -> None:
        await world.session.close()
        await world.bank.close()

    assert run(assert_cancel_safe(read, setup, teardown=tear_down)) > 0


@pytest.mark.filterwarnings(
    # aiosqlite loses the connection that its thread opens if it is cancelled meanwhile.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_connections_without_a_pool_are_counted() -> None:
    async def setup() -> dict[str, AsyncEngine]:
        return {"engine": create_async_engine("sqlite+aiosqlite://", poolclass=NullPool)}

    async def leave_open(world: dict[str, AsyncEngine]) -> None:
        connection = await world["engine"].connect()
        await connection.execute(text("select 1"))
        await connection.close()

    async def use(world: dict[str, AsyncEngine]) -> None:
        async with world["engine"].connect() as connection:
            await connection.execute(text("select 1"))

    async def dispose(world: dict[str, AsyncEngine]) -> None:
        await world["engine"].dispose()

    assert run(assert_cancel_safe(use, setup, teardown=dispose)) > 0
    with pytest.raises(InjectionError, match=r"a connection of world\['engine'\] is still open"):
        run(assert_cancel_safe(leave_open, setup, teardown=dispose))


def test_an_engine_is_found_in_what_the_operation_refers_to() -> None:
    async def main() -> None:
        bank = await Bank.open()
        make_session = async_sessionmaker(bank.engine)

        async def forget_session() -> None:
            session = make_session()
            await session.execute(text("select 1"))
            await session.close()

        with pytest.raises(InjectionError, match="is not back in the pool"):
            await assert_cancel_safe(forget_session)
        await close(bank)

    run(main())


def test_a_pool_that_hands_out_a_broken_connection_is_found() -> None:
    async def break_connection(bank: Bank) -> None:
        async with bank.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            await driver.close()
            raise

    with pytest.raises(InjectionError) as caught:
        run(assert_cancel_safe(break_connection, Bank.open, teardown=close, moments="wait"))
    found = [problem for failure in caught.value.failures for problem in failure.problems]
    assert len(found) == 1
    assert found[0].startswith("left behind: the pool of world.engine no longer works: ")


@pytest.mark.parametrize("has_extension", [True, False])
def test_sqlalchemy_has_no_engines_without_its_asyncio_extension(
    has_extension: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_extension:
        monkeypatch.delitem(sys.modules, "sqlalchemy.ext.asyncio.engine")

    async def main() -> int:
        bank = await Bank.open()
        pools = await Pools.begin(Scene(bank, (), OwnTasks()))
        connection = await bank.engine.connect()
        remains = await pools.look()
        await connection.close()
        await close(bank)
        return len(remains)

    assert run(main()) == has_extension


@pytest.mark.parametrize("moment", ["before", "after"])
def test_faults_of_a_commit(moment: str) -> None:
    async def setup() -> Any:
        bank = await Bank.open()
        return SimpleNamespace(bank=bank, session=bank.sessions())

    async def transfer_again(world: Any) -> None:
        for _ in range(2):
            try:
                await world.session.execute(text("update account set balance = balance - 10 where id = 1"))
                await world.session.execute(text("update account set balance = balance + 10 where id = 2"))
                await world.session.commit()
                return
            except ConnectionError:
                await world.session.rollback()

    async def check(world: Any) -> None:
        async with world.bank.sessions() as session:
            balance = (await session.execute(text("select balance from account where id = 1"))).scalar_one()
        assert balance == 90

    async def tear_down(world: Any) -> None:
        await world.session.close()
        await world.bank.close()

    safe = assert_fault_safe(
        transfer_again,
        "session.commit",
        ConnectionError,
        moment,
        setup=setup,
        check=check,
        teardown=tear_down,
    )
    if moment == "before":
        assert run(safe) == 1
    else:
        with pytest.raises(InjectionError, match="only the reply was lost"):
            run(safe)
