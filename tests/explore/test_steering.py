"""What the loop of a schedule does with completions at odd moments, and what it leaves as it is."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from pytest_uno.explore import ExplorationReport, explore, replies
from pytest_uno.explore.run import Outcome, Surroundings, run_schedule
from pytest_uno.explore.settings import Settings
from pytest_uno.explore.strategies.stock import Stock


def passes(scenario: Any, **options: Any) -> None:
    report = explore(scenario, schedules=60, **options)
    assert report.failure is None, report.explanation


def in_stock_order(scenario: Any, **options: Any) -> Outcome:
    outcome = run_schedule(scenario, Stock(), Settings(), Surroundings(**options))
    assert outcome.error is None, outcome.error
    return outcome


def test_a_future_of_a_thread_may_be_finished_on_the_loop() -> None:
    orders: set[tuple[str, ...]] = set()

    async def program() -> None:
        order: list[str] = []
        work: concurrent.futures.Future[str] = concurrent.futures.Future()

        def finish(future: asyncio.Future[str]) -> None:
            future.set_result("work")

        async def wait() -> None:
            order.append(await future)

        async def another() -> None:
            await asyncio.to_thread(int)
            order.append("another")

        future = asyncio.wrap_future(work)
        asyncio.get_running_loop().call_soon_threadsafe(finish, future)
        await asyncio.gather(wait(), another())
        orders.add(tuple(order))

    passes(program, delay=("io",))
    assert orders == {
        ("work", "another"),
        ("another", "work"),
    }  # its answer may be late as that of a thread may


def test_a_future_of_a_thread_may_be_finished_instead_of_the_thread() -> None:
    async def program() -> None:
        work: concurrent.futures.Future[str] = concurrent.futures.Future()
        future = asyncio.wrap_future(work)
        future.set_result("mine")
        await asyncio.to_thread(int)
        assert await future == "mine"

    assert in_stock_order(program).slow_jobs == 0


def test_an_executor_of_the_users() -> None:
    class AtOnce(concurrent.futures.Executor):
        def submit(self, fn: Any, /, *args: Any, **options: Any) -> Any:
            future: concurrent.futures.Future[Any] = concurrent.futures.Future()
            future.set_result(fn(*args, **options))
            return future

    async def program() -> None:
        assert await asyncio.get_running_loop().run_in_executor(AtOnce(), int, "7") == 7

    passes(program)


def test_two_servers_on_the_loop() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(1))
        writer.close()

    async def program() -> None:
        servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for _ in range(2)]
        for server in reversed(servers):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"x")
            assert await reader.read() == b"x"
            writer.close()
            server.close()

    assert in_stock_order(program).slow_jobs == 0


def test_a_socket_that_is_ready_to_be_read_becomes_ready_to_be_written() -> None:
    orders: set[tuple[str, ...]] = set()

    async def program() -> None:
        loop = asyncio.get_running_loop()
        order: list[str] = []
        both = asyncio.Event()

        def note(what: str, stop: Callable[[int], object]) -> None:
            order.append(what)
            stop(one.fileno())
            if len(order) == 2:
                both.set()

        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            other.send(b"x")
            loop.add_reader(one, note, "read", loop.remove_reader)
            await asyncio.sleep(0.01)
            loop.add_writer(one, note, "written", loop.remove_writer)
            await both.wait()
        orders.add(tuple(order))

    passes(program)
    assert orders == {("read", "written"), ("written", "read")}


def test_a_server_outside_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "GRACE", 0.0)

    may_answer = threading.Event()

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            request = connection.recv(1)
            may_answer.wait()
            connection.sendall(request)

    async def program() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=serve, args=(listening,))
            thread.start()
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            writer.write(b"x")
            await asyncio.sleep(0)  # here it is waited for, in vain
            may_answer.set()
            assert await reader.read() == b"x"
            writer.close()
            thread.join()

    assert in_stock_order(program).slow_jobs == 1


def test_a_kept_back_yield_that_is_cancelled() -> None:
    ends: set[str] = set()

    async def nap() -> None:
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            ends.add("cancelled")
            raise
        ends.add("over")

    async def program() -> None:
        child = asyncio.create_task(nap())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        child.cancel()
        await asyncio.wait([child])

    passes(program)
    assert ends == {"over", "cancelled"}


def test_what_is_due_together_with_a_timer_comes_with_it() -> None:
    async def program() -> None:
        order: list[object] = []

        async def nap(seconds: float) -> None:
            await asyncio.sleep(seconds)
            order.append(seconds)

        asyncio.get_running_loop().call_later(2, order.append, "timer")
        await asyncio.gather(nap(1), nap(2))
        assert order == [1, "timer", 2]

    passes(program)


def test_a_sleep_that_is_left_ends_when_it_is_due() -> None:
    moments: list[float] = []

    async def linger() -> None:
        await asyncio.sleep(2)
        moments.append(asyncio.get_running_loop().time())

    left: list[asyncio.Task[None]] = []

    async def program() -> None:
        left.append(asyncio.create_task(linger()))
        await asyncio.sleep(0)

    async def after(error: BaseException | None) -> None:
        await asyncio.sleep(3)

    in_stock_order(program, after=after)
    assert moments == [2.0]


def test_a_thread_that_calls_in_last() -> None:
    calls: list[str] = []

    async def program() -> None:
        loop = asyncio.get_running_loop()

        def call_in() -> None:
            thread = threading.Thread(target=loop.call_soon_threadsafe, args=(calls.append, "from a thread"))
            thread.start()
            thread.join()

        loop.call_soon(call_in)  # in the last round, together with what stops the loop

    async def after(error: BaseException | None) -> None:
        assert not calls
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert calls == ["from a thread"]

    in_stock_order(program, after=after)
    assert calls == ["from a thread"]


def test_what_is_hard_to_end_does_not_end_the_search() -> None:
    ends: list[float] = []

    async def stubborn() -> None:
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1e6)
            ends.append(asyncio.get_running_loop().time())

    left: list[asyncio.Task[None]] = []

    async def program() -> None:
        left.append(asyncio.create_task(stubborn()))
        await asyncio.sleep(1)

    in_stock_order(program)
    assert ends == [1.0, 3601.0]  # an hour of virtual time is what it may take
    assert left[0].done()


def test_the_end_of_a_schedule_may_fail_it() -> None:
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            ends.append("closed")

    ends: list[str] = []
    begun: list[AsyncIterator[int]] = []

    async def program() -> None:
        begun.append(numbers())
        await anext(begun[0])

    def finished(loop: object, error: BaseException | None) -> None:
        ends.append("finished")
        raise LookupError("left behind")

    outcome = run_schedule(program, Stock(), Settings(), Surroundings(finished=finished))
    assert isinstance(outcome.error, LookupError)
    assert ends == ["finished", "closed"]


def test_a_report_may_be_awaited() -> None:
    async def wait() -> None:
        report = ExplorationReport(runs=1)
        assert await report is report

    asyncio.run(wait())
