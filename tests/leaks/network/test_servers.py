from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import socket
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.web
import pytest
import uvicorn

from pytest_uno.leaks.owners import OWNER, Owner
from tests.leaks.examples import LineOf, Test, listed_in, listed_with, nothing, on_both_loops
from tests.leaks.network.connections import answer

LEAKY: list[Any] = []
CLEAN: list[Any] = []
KEPT: list[Any] = []

leaks = listed_with(LEAKY)
clean = listed_in(CLEAN)

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="asyncio has no unix sockets there")


def port_of(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


@leaks()
async def kept() -> None:
    KEPT.append(await asyncio.start_server(answer, "127.0.0.1", 0))  # LEAK


@leaks()
async def dropped() -> None:
    await asyncio.start_server(answer, "127.0.0.1", 0)  # LEAK


@leaks()
async def dropped_before_it_serves() -> None:
    await asyncio.start_server(answer, "127.0.0.1", 0, start_serving=False)  # LEAK


@leaks()
async def of_a_protocol() -> None:
    loop = asyncio.get_running_loop()
    KEPT.append(await loop.create_server(asyncio.Protocol, "127.0.0.1", 0))  # LEAK


@leaks()
async def with_two_sockets() -> None:
    KEPT.append(await asyncio.start_server(answer, ["127.0.0.1", "127.0.0.1"], 0))  # LEAK


@leaks()
async def with_a_socket_of_ones_own() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    KEPT.append(await asyncio.start_server(answer, sock=sock))  # LEAK


@leaks(posix_only)
async def on_a_unix_socket() -> None:
    path = Path(tempfile.gettempdir(), f"uno-server-{os.getpid()}.sock")
    KEPT.append(await asyncio.start_unix_server(answer, path))  # LEAK
    path.unlink(missing_ok=True)


@leaks()
async def with_a_connection_that_it_keeps() -> None:
    server = await asyncio.start_server(forever, "127.0.0.1", 0)  # LEAK
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    await asyncio.sleep(0.01)
    writer.close()
    KEPT.append(server)


async def forever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()
    writer.close()


@leaks()
async def through_aiohttp() -> None:
    runner = aiohttp.web.AppRunner(aiohttp.web.Application())
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()  # LEAK
    KEPT.append(runner)


@leaks()
async def through_aiohttp_after_a_request() -> None:
    runner = aiohttp.web.AppRunner(aiohttp.web.Application())
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()  # LEAK
    KEPT.append(runner)
    async with aiohttp.ClientSession() as session:
        await session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/")


@clean
async def closed() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    server.close()


@clean
async def as_a_context() -> None:
    async with await asyncio.start_server(answer, "127.0.0.1", 0):
        await asyncio.sleep(0)


@clean
async def that_serves_forever_and_is_cancelled() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    task = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@clean
async def on_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock, pytest.raises(OSError):
        await asyncio.start_server(answer, "127.0.0.1", sock.getsockname()[1])


@clean
async def of_aiohttp_cleaned_up() -> None:
    runner = aiohttp.web.AppRunner(aiohttp.web.Application())
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with aiohttp.ClientSession() as session:
        await session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    await runner.cleanup()


@clean
async def of_uvicorn() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    async with aiohttp.ClientSession() as session:
        await session.get(f"http://127.0.0.1:{port_of(server.servers[0])}/")
    await server.shutdown()


@clean
async def of_a_loop_of_its_own() -> None:
    async def job() -> None:
        KEPT.append(await asyncio.start_server(answer, "127.0.0.1", 0))

    await asyncio.to_thread(asyncio.run, job())


@on_both_loops
@pytest.mark.parametrize("test", LEAKY)
def test_a_leak_is_reported_once(bench: Any, test: Test, line_of: LineOf) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        (finding,) = bench.run_test(test, loop_ends=False)
        gc.collect()
    assert (finding.rule, finding.subject) == ("UNO402", "server was not closed")
    assert finding.created[0].line == line_of(test, "# LEAK")
    assert not any(server.sockets for server in KEPT if isinstance(server, asyncio.Server))
    KEPT.clear()
    assert bench.run_test(nothing, loop_ends=False) == []
    assert bench.detection.judge_loop(bench.loop, default_owner=Owner("session", "")) == []


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    assert bench.run_test(test) == []
    assert bench.unhandled == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        KEPT.clear()
        gc.collect()
    assert bench.run_test(nothing) == []


def test_a_server_and_its_client_are_two_findings(bench: Any) -> None:
    async def test() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        KEPT.append((server, await asyncio.open_connection("127.0.0.1", port_of(server))))
        await asyncio.sleep(0.01)

    assert [finding.rule for finding in bench.run_test(test, loop_ends=False)] == ["UNO402", "UNO401"]
    assert asyncio.all_tasks(bench.loop) == set()
    KEPT.clear()


def test_a_server_of_a_leaked_task_goes_with_the_task(bench: Any) -> None:
    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        KEPT.append(server)
        await asyncio.Event().wait()

    async def test() -> None:
        KEPT.append(asyncio.create_task(serve()))
        await asyncio.sleep(0.01)

    (finding,) = bench.run_test(test, loop_ends=False)
    assert finding.rule == "UNO101"
    (server,) = [each for each in KEPT if isinstance(each, asyncio.Server)]
    assert not server.sockets
    assert bench.run_test(nothing) == []
    KEPT.clear()


def test_the_server_of_a_wider_fixture_goes_on_until_that_ends(bench: Any) -> None:
    fixture = Owner("fixture", "server", "session")
    bench.run_as(fixture, kept)
    assert bench.run_test(nothing, loop_ends=False) == []
    assert KEPT[0].is_serving()
    fixture.ended = True
    (finding,) = bench.run_test(nothing, loop_ends=False)
    assert (finding.rule, finding.owner.name) == ("UNO402", "server")
    KEPT.clear()


def test_a_server_that_a_wider_fixture_holds_is_the_fixtures(bench: Any) -> None:
    hub: list[Any] = []
    fixture = Owner("fixture", "hub", "session")
    bench.detection.retain(fixture, hub)

    async def test() -> None:
        hub.append(await asyncio.start_server(answer, "127.0.0.1", 0))

    assert bench.run_test(test, loop_ends=False) == []
    assert hub[0].is_serving()
    fixture.ended = True
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert (finding.rule, finding.owner.name) == ("UNO402", "hub")


@pytest.mark.parametrize("name", ["__init__", "close"])
def test_a_patched_method_looks_as_before(bench: Any, name: str) -> None:
    def shape() -> tuple[Any, ...]:
        method = getattr(asyncio.Server, name)
        return method.__name__, method.__doc__, inspect.signature(method)

    patched = shape()
    bench.detection.remove()
    assert patched == shape()


def test_the_server_of_a_loop_that_runs_is_closed_as_well(bench: Any) -> None:
    owner = Owner("test", "test")

    async def test() -> None:
        snapshot = bench.detection.snapshot(owner)
        OWNER.set(owner)
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        owner.ended = True
        (finding,) = bench.detection.compare(snapshot, bench.loop, loop_ends=False)
        assert finding.rule == "UNO402"
        assert not server.sockets

    bench.run_as(None, test)
