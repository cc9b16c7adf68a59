"""HTTP: a server outside of the loop, one on it, and one without sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncGenerator, Generator
from typing import Any

import aiohttp
import httpx
import pytest
import uvicorn
from aiohttp import web

from pytest_uno.clock.budgets import Budgets
from tests.clock.running import run_virtual
from tests.clock.tickers import PATIENT, at_once, running_clock, ticking


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the path: `/slow` after a minute of its loop, `/soon` after 20 ms, `/pieces` bit by bit."""
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep({"/slow": 60.0, "/soon": 0.02}.get(scope["path"], 0.0))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for letter in scope["path"] if scope["path"] == "/pieces" else ():
        await send({"type": "http.response.body", "body": letter.encode(), "more_body": True})
        await asyncio.sleep(0.02)
    rest = b"" if scope["path"] == "/pieces" else scope["path"].encode()
    await send({"type": "http.response.body", "body": rest})


# ------------------------------------------------------------------ outside of the loop


@pytest.fixture(scope="module")
def uvicorn_url() -> Generator[str, None, None]:
    """Serve in a thread, on a real loop."""
    # asyncio turns the delay of small packets off where the protocol is given.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="uvicorn")
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.001)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(30)
    listener.close()


def test_httpx_against_uvicorn_in_a_thread(uvicorn_url: str) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(base_url=uvicorn_url, trust_env=False) as client, ticking() as ticks:
            for number in range(50):
                reply = await at_once(client.get(f"/{number}"))
                assert reply.text == f"/{number}"
                await asyncio.sleep(0.003)
            assert len(ticks) == 15

    run_virtual(main, budgets=PATIENT)


def test_httpx_against_a_server_slower_than_the_virtual_time_limit(uvicorn_url: str) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(base_url=uvicorn_url, trust_env=False) as client, ticking() as ticks:
            replies = await at_once(asyncio.gather(*(client.get("/soon") for _ in range(5))), within=0.001)
            assert [reply.text for reply in replies] == 5 * ["/soon"]
            assert ticks == []

    run_virtual(main, budgets=PATIENT)


def test_aiohttp_against_uvicorn_in_a_thread(uvicorn_url: str) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession(uvicorn_url) as session, ticking() as ticks:
            for path in ("/1", "/soon", "/pieces"):
                assert await at_once(fetch(session, path), within=0.001) == path
            assert ticks == []
            for number in range(50):
                assert await at_once(fetch(session, f"/{number}")) == f"/{number}"
                await asyncio.sleep(0.003)

    run_virtual(main, budgets=PATIENT)


def test_aiohttp_against_a_server_slower_than_the_patience(uvicorn_url: str) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession(uvicorn_url) as session, ticking(), asyncio.timeout(5):
            assert await fetch(session, "/soon") == "/soon"

    _, clock = run_virtual(main, budgets=Budgets(patience=0.005, quiet=0.001))
    assert clock.time() < 5
    assert clock.held > clock.budgets.patience


def test_an_idle_server_on_the_loop_beside_requests_to_the_outside(uvicorn_url: str) -> None:
    async def main() -> None:
        happens = asyncio.Event()
        async with (
            aiohttp_session() as session,
            httpx.AsyncClient(base_url=uvicorn_url, trust_env=False) as client,
        ):
            assert await fetch(session) == "hello"
            assert (await client.get("/1")).text == "/1"
            asyncio.get_running_loop().call_later(600, happens.set)
            await happens.wait()

    budgets = Budgets(patience=0.1, stall=10.0)
    _, clock = run_virtual(main, budgets=budgets)
    assert clock.time() >= 600
    assert clock.held < budgets.stall


def test_connections_kept_alive_hold_for_a_moment_only(uvicorn_url: str) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(base_url=uvicorn_url, trust_env=False) as client:
            await asyncio.gather(*(client.get("/soon") for _ in range(20)))
            for _ in range(24):
                await asyncio.sleep(3600)

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() == 24 * 3600
    assert clock.held < PATIENT.patience


# ------------------------------------------------------------------ on the loop


async def greet(request: web.Request) -> web.Response:
    await asyncio.sleep(float(request.query.get("after", "0")))
    return web.Response(text="hello")


@contextlib.asynccontextmanager
async def aiohttp_session(**options: Any) -> AsyncGenerator[aiohttp.ClientSession, None]:
    """Serve on the running loop, and open a session to it."""
    served = web.Application()
    served.add_routes([web.get("/", greet)])
    runner = web.AppRunner(served)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}", **options) as session:
            yield session
    finally:
        await runner.cleanup()


async def fetch(session: aiohttp.ClientSession, path: str = "/") -> str:
    async with session.get(path) as reply:
        return await reply.text()


def test_aiohttp_on_the_loop() -> None:
    async def main() -> None:
        async with aiohttp_session() as session, ticking() as ticks:
            for _ in range(50):
                assert await at_once(fetch(session)) == "hello"
                await asyncio.sleep(0.003)
            assert len(ticks) == 15

    run_virtual(main, budgets=PATIENT)


def test_a_slow_aiohttp_handler_takes_virtual_time() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        moments = []
        async with aiohttp_session(timeout=aiohttp.ClientTimeout(total=90)) as session:
            assert await fetch(session, "/?after=60") == "hello"
            moments.append(loop.time())
            with pytest.raises(TimeoutError):
                await fetch(session, "/?after=600")
            moments.append(loop.time())
        return moments

    moments, clock = run_virtual(main, budgets=PATIENT)
    assert moments[0] == 60
    assert moments[1] == pytest.approx(150, abs=1)  # aiohttp rounds its own long time-outs up
    assert clock.held < PATIENT.patience


def test_idle_aiohttp_connections_hold_nothing() -> None:
    async def main() -> None:
        clock = running_clock()
        async with aiohttp_session() as session:
            await asyncio.gather(*(fetch(session, "/?after=1") for _ in range(20)))
            before, jumps = clock.held, clock.jumps
            for _ in range(100):
                await asyncio.sleep(0.1)
            assert clock.held - before < clock.budgets.patience
            assert clock.jumps >= jumps + 100

    run_virtual(main, budgets=PATIENT)


def test_an_idle_aiohttp_server_does_not_hold_while_the_test_waits_for_something_else() -> None:
    async def main() -> None:
        happens = asyncio.Event()
        async with aiohttp_session() as session:
            assert await fetch(session) == "hello"
            asyncio.get_running_loop().call_later(10, happens.set)
            await happens.wait()

    _, clock = run_virtual(main, budgets=PATIENT)
    assert clock.time() >= 10
    assert clock.held < PATIENT.patience


# ------------------------------------------------------------------ without sockets


def test_httpx_with_an_asgi_application() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        transport = httpx.ASGITransport(application)
        moments = []
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for _ in range(3):
                assert (await client.get("/slow")).text == "/slow"
                moments.append(loop.time())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(59):
                    await client.get("/slow")
            moments.append(loop.time())
        return moments

    moments, clock = run_virtual(main, budgets=PATIENT)
    assert moments == [60, 120, 180, 239]
    assert clock.held == 0
