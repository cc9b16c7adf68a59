"""Whose a connection is, and what goes with it: handlers, tasks, timers."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from pytest_uno.leaks.owners import OWNER, Owner
from tests.leaks.examples import nothing
from tests.leaks.network.connections import KEPT, Client, Echo, serve

pytestmark = pytest.mark.usefixtures("the_loop_ends_what_is_closing")


def test_the_handler_of_a_reported_connection_ends_with_it(bench: Any) -> None:
    async def stubborn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        KEPT.append(asyncio.current_task())
        await asyncio.Event().wait()
        writer.close()

    async def test() -> None:
        server = await asyncio.start_server(stubborn, "127.0.0.1", 0)
        KEPT.append(await asyncio.open_connection(*server.sockets[0].getsockname()[:2]))
        await asyncio.sleep(0.01)
        server.close()

    (finding,) = bench.run_test(test, loop_ends=False)
    assert finding.rule == "UNO401"
    task = KEPT[0]
    assert task.cancelled()
    KEPT.clear()


def test_the_handler_of_a_closed_connection_is_a_task_that_leaks(bench: Any) -> None:
    async def stubborn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()
        writer.close()

    async def test() -> None:
        server = await asyncio.start_server(stubborn, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        await asyncio.sleep(0.01)
        writer.close()
        server.close()

    (finding,) = bench.run_test(test, loop_ends=False)
    assert (finding.rule, finding.target.rpartition(".")[2]) == ("UNO101", "stubborn")
    assert bench.run_test(nothing) == []


def test_the_connection_of_a_leaked_task_goes_with_the_task(bench: Any) -> None:
    ours, theirs = socket.socketpair()

    async def read() -> None:
        reader, writer = await asyncio.open_connection(sock=ours)
        KEPT.append(writer)
        await reader.read()

    async def test() -> None:
        KEPT.append(asyncio.create_task(read()))
        await asyncio.sleep(0.01)

    with theirs:
        (finding,) = bench.run_test(test, loop_ends=False)
        assert finding.rule == "UNO101"
        assert KEPT.pop().is_closing()
        assert bench.run_test(nothing) == []
    KEPT.clear()


def test_what_a_wider_fixture_holds_is_the_fixtures(bench: Any) -> None:
    client, fixture = Client(), Owner("fixture", "client", "session")
    bench.detection.retain(fixture, client)
    hub = Owner("fixture", "server", "session")
    server, port = bench.run_as(hub, serve)

    async def test() -> None:
        await client.open(port)

    assert bench.run_test(test, loop_ends=False) == []
    assert bench.run_test(nothing, loop_ends=False) == []
    assert not client.writer.is_closing()
    fixture.ended = hub.ended = True
    server.close()
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert (finding.rule, finding.owner.name) == ("UNO401", "client")
    assert client.writer.is_closing()


def test_what_a_wider_server_accepts_is_the_servers(bench: Any) -> None:
    hub = Owner("fixture", "server", "session")
    lost: list[object] = []

    class Accepted(Echo):
        def connection_lost(self, exc: Exception | None) -> None:
            lost.append(self)

    async def all_lost() -> None:
        while len(lost) < 2:
            await asyncio.sleep(0.001)

    server, port = bench.run_as(hub, lambda: serve(Accepted))

    async def leaky() -> None:
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", port)

    async def clean() -> None:
        transport, _ = await asyncio.get_running_loop().create_connection(Echo, "127.0.0.1", port)
        transport.write(b"x")
        await asyncio.sleep(0.01)
        transport.close()

    assert bench.run_test(clean, loop_ends=False) == []
    (finding,) = bench.run_test(leaky, loop_ends=False)
    assert finding.created[0].function.endswith("leaky")
    hub.ended = True
    server.close()
    assert bench.detection.judge_loop(bench.loop, default_owner=Owner("session", "")) == []
    bench.run_as(hub, lambda: asyncio.wait_for(all_lost(), 10))  # what is closing would go with a warning
    KEPT.clear()


def test_its_timers_go_with_a_connection(bench: Any) -> None:
    class Idle(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            asyncio.get_running_loop().call_later(60, self.end)

        def end(self) -> None: ...

    ours, theirs = socket.socketpair()

    async def test() -> None:
        KEPT.append(await asyncio.get_running_loop().create_connection(Idle, sock=ours))

    with theirs:
        (finding,) = bench.run_test(test)
    assert (finding.rule, finding.target.rpartition(".")[2]) == ("UNO401", "Idle")
    KEPT.clear()


def test_the_connection_of_a_loop_that_runs_is_closed_as_well(bench: Any) -> None:
    owner = Owner("test", "test")

    async def test() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            snapshot = bench.detection.snapshot(owner)
            OWNER.set(owner)
            _, writer = await asyncio.open_connection(sock=ours)
            owner.ended = True
            (finding,) = bench.detection.compare(snapshot, bench.loop, loop_ends=False)
            assert finding.rule == "UNO401"
            assert writer.is_closing()

    bench.run_as(None, test)


def test_each_handler_goes_with_its_own_connection(bench: Any) -> None:
    async def stubborn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        KEPT.append(asyncio.current_task())
        await asyncio.Event().wait()
        writer.close()

    async def test() -> None:
        server = await asyncio.start_server(stubborn, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        KEPT.extend([await asyncio.open_connection("127.0.0.1", port) for _ in range(2)])
        await asyncio.sleep(0.01)
        server.close()

    findings = bench.run_test(test, loop_ends=False)
    assert [finding.rule for finding in findings] == ["UNO401"] * 2
    assert all(task.cancelled() for task in KEPT if isinstance(task, asyncio.Task))
    KEPT.clear()


def test_a_task_of_a_library_that_serves_no_connection_stays(bench: Any) -> None:
    names: dict[str, Any] = {"asyncio": asyncio}
    source = "def start(coro): asyncio.get_running_loop().call_soon(lambda: kept.append(asyncio.ensure_future(coro)))"
    exec(compile(source, "/x/site-packages/lib.py", "exec"), names)
    names["kept"] = tasks = []  # type: ignore[var-annotated]

    async def test() -> None:
        names["start"](asyncio.Event().wait())
        server, port = await serve()
        KEPT.append(await asyncio.open_connection("127.0.0.1", port))
        await asyncio.sleep(0.01)
        server.close()

    findings = bench.run_test(test, loop_ends=False)
    assert "UNO401" in [finding.rule for finding in findings]
    assert len(tasks) == 1
    KEPT.clear()
