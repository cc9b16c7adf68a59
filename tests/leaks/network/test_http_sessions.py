from __future__ import annotations

import asyncio
import gc
import http.server
import inspect
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import aiohttp
import httpx
import pytest

from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import LineOf, Test, listed_in, nothing, on_both_loops

LEAKY: list[Any] = []
CLEAN: list[Any] = []
KEPT: list[Any] = []
URL: list[str] = []

leaks = listed_in(LEAKY)
clean = listed_in(CLEAN)


class Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept alive

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        URL[:] = [f"http://127.0.0.1:{server.server_port}/"]
        yield
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def nothing_is_kept() -> Iterator[None]:
    yield
    KEPT.clear()


def answer(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200)


async def get(session: aiohttp.ClientSession) -> None:
    async with session.get(URL[0]) as response:
        assert await response.text() == "hi"


@leaks
async def aiohttp_kept() -> None:
    KEPT.append(aiohttp.ClientSession())  # LEAK aiohttp.ClientSession


@leaks
async def aiohttp_dropped() -> None:
    aiohttp.ClientSession()  # LEAK aiohttp.ClientSession


@leaks
async def aiohttp_dropped_in_a_cycle() -> None:
    cycle: list[Any] = [aiohttp.ClientSession()]  # LEAK aiohttp.ClientSession
    cycle.append(cycle)


@leaks
async def aiohttp_collected_in_a_cycle() -> None:
    cycle: list[Any] = [aiohttp.ClientSession()]  # LEAK aiohttp.ClientSession
    cycle.append(cycle)
    del cycle
    gc.collect()


@leaks
async def aiohttp_kept_with_a_connection() -> None:
    session = aiohttp.ClientSession()  # LEAK aiohttp.ClientSession
    KEPT.append(session)
    await get(session)


@leaks
async def aiohttp_dropped_with_a_connection() -> None:
    await get(aiohttp.ClientSession())  # LEAK aiohttp.ClientSession


@leaks
async def httpx_kept() -> None:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))  # LEAK httpx.AsyncClient
    await client.get("http://host/")
    KEPT.append(client)


@leaks
async def httpx_dropped() -> None:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))  # LEAK httpx.AsyncClient
    await client.get("http://host/")


@leaks
async def httpx_kept_with_a_connection() -> None:
    client = httpx.AsyncClient(trust_env=False)  # LEAK httpx.AsyncClient
    KEPT.append(client)
    await client.get(URL[0])


@leaks
async def httpx_dropped_with_a_connection() -> None:
    await httpx.AsyncClient(trust_env=False).get(URL[0])  # LEAK httpx.AsyncClient


@leaks
async def httpx_entered_and_never_left() -> None:
    client = httpx.AsyncClient()  # LEAK httpx.AsyncClient
    KEPT.append(client)
    await client.__aenter__()


@leaks
async def sync_httpx_with_a_connection() -> None:
    client = httpx.Client(trust_env=False)  # LEAK httpx.Client
    KEPT.append(client)
    await asyncio.to_thread(client.get, URL[0])


async def of_a_subclass() -> None:
    class Api(httpx.AsyncClient):
        def __init__(self) -> None:
            super().__init__(transport=httpx.MockTransport(answer))

    client = Api()  # CALLER
    await client.get("http://host/")
    KEPT.append(client)


@leaks
async def in_a_helper_thread() -> None:
    async def job() -> None:
        KEPT.append(aiohttp.ClientSession())  # LEAK aiohttp.ClientSession

    await asyncio.to_thread(asyncio.run, job())


@clean
async def closed() -> None:
    async with aiohttp.ClientSession() as session:
        await get(session)
    client = httpx.AsyncClient(trust_env=False)
    await client.get(URL[0])
    await client.aclose()
    KEPT.extend([session, client])


@clean
async def dropped_after_close() -> None:
    session = aiohttp.ClientSession()
    await get(session)
    await session.close()
    del session
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await client.get("http://host/")
    del client
    gc.collect()


@clean
async def closed_by_its_connector() -> None:
    async with aiohttp.TCPConnector() as connector:
        KEPT.append(aiohttp.ClientSession(connector=connector, connector_owner=False))
        await get(KEPT[-1])


@clean
async def detached() -> None:
    async with aiohttp.TCPConnector() as connector:
        session = aiohttp.ClientSession(connector=connector)
        session.detach()


@clean
async def closed_by_a_task_in_a_moment() -> None:
    session = aiohttp.ClientSession()
    await get(session)
    KEPT.append(asyncio.ensure_future(session.close()))


@clean
async def httpx_never_used() -> None:
    KEPT.append(httpx.AsyncClient())
    httpx.AsyncClient()


@clean
async def sync_test_client_of_a_framework() -> None:
    client = httpx.Client(transport=httpx.MockTransport(answer))
    client.get("http://host/")
    KEPT.append(client)


@clean
async def mocks() -> None:
    session = mock.AsyncMock(spec=aiohttp.ClientSession)
    await session.close()
    KEPT.append(mock.create_autospec(httpx.AsyncClient, instance=True))


@clean
async def constructor_that_fails() -> None:
    with pytest.raises(TypeError):
        aiohttp.ClientSession(no_such_option=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        httpx.AsyncClient(no_such_option=1)  # type: ignore[call-arg]


@clean
async def dropped_on_purpose() -> None:
    with pytest.warns(ResourceWarning, match="Unclosed client session"):
        aiohttp.ClientSession()


@on_both_loops
@pytest.mark.parametrize("test", LEAKY)
def test_a_leak_is_reported_once(bench: Any, test: Test, line_of: LineOf) -> None:
    (finding,) = bench.run_test(test)
    name = inspect.getsource(test).partition("# LEAK ")[2].split()[0]
    assert (finding.rule, finding.subject) == ("UNO409", f"{name} was not closed")
    assert finding.created[0].line == line_of(test, "# LEAK")
    KEPT.clear()
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(each.message) for each in recorded] == []  # what was reported is closed
    assert bench.run_test(nothing) == []
    assert bench.unhandled == []


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    assert bench.run_test(test) == []
    KEPT.clear()
    gc.collect()
    assert bench.run_test(nothing) == []


def test_a_subclass_is_reported_with_its_caller(bench: Any, line_of: LineOf) -> None:
    (finding,) = bench.run_test(of_a_subclass)
    assert [frame.line for frame in finding.created][1] == line_of(of_a_subclass, "# CALLER")


def test_a_kept_connection_of_a_wider_client_is_the_clients(bench: Any) -> None:
    fixture = Owner("fixture", "client", "session")

    async def make() -> None:
        KEPT.append(aiohttp.ClientSession())
        KEPT.append(httpx.AsyncClient(trust_env=False))

    async def use() -> None:
        await get(KEPT[0])
        await KEPT[1].get(URL[0])

    bench.run_as(fixture, make)
    assert bench.run_test(use, loop_ends=False) == []
    assert bench.run_test(use, loop_ends=False) == []
    fixture.ended = True
    findings = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert [(finding.rule, finding.owner.name) for finding in findings] == [("UNO409", "client")] * 2


def test_a_client_that_a_wider_fixture_holds_is_the_fixtures(bench: Any) -> None:
    hub: list[Any] = []
    fixture = Owner("fixture", "hub", "session")
    bench.detection.retain(fixture, hub)

    async def test() -> None:
        hub.append(aiohttp.ClientSession())
        await get(hub[0])

    assert bench.run_test(test, loop_ends=False) == []
    assert not hub[0].closed
    fixture.ended = True
    bench.detection.release(fixture)
    (finding,) = bench.detection.drain()
    assert (finding.rule, finding.owner.name) == ("UNO409", "hub")


def test_a_client_of_another_test_of_a_shared_loop_is_its_own(bench: Any) -> None:
    assert [each.rule for each in bench.run_test(aiohttp_kept, loop_ends=False)] == ["UNO409"]
    assert bench.run_test(nothing, loop_ends=False) == []


def test_a_library_that_is_imported_later_is_patched_then(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.detection.remove()
    monkeypatch.delitem(sys.modules, "aiohttp.client")
    before = aiohttp.ClientSession.__init__
    bench.detection.install()
    assert aiohttp.ClientSession.__init__ is before
    monkeypatch.undo()
    assert len(bench.run_test(aiohttp_kept)) == 1
    assert aiohttp.ClientSession.__init__ is not before
    bench.detection.remove()
    assert aiohttp.ClientSession.__init__ is before


def test_a_library_is_never_imported(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("aiohttp.client", "httpx._client"):
        monkeypatch.delitem(sys.modules, name)
    bench.detection.remove()
    bench.detection.install()
    assert bench.run_test(nothing) == []
    assert not {"aiohttp.client", "httpx._client"} & set(sys.modules)


@pytest.mark.parametrize("kind", [aiohttp.ClientSession, httpx.AsyncClient, httpx.Client])
def test_a_patched_class_looks_as_before(bench: Any, kind: Any) -> None:
    def shape() -> tuple[Any, ...]:
        return kind.__init__.__name__, kind.__init__.__doc__, inspect.signature(kind)

    patched = shape()
    bench.detection.remove()
    assert patched == shape()
    assert ("__del__" in vars(kind)) is (kind is aiohttp.ClientSession)


class Silent(httpx.Client):
    def __del__(self) -> None: ...


def test_a_client_with_a_finaliser_of_its_own_may_go(bench: Any) -> None:
    async def test() -> None:
        Silent(transport=httpx.MockTransport(answer))
        gc.collect()

    assert bench.run_test(test) == []
    (detector,) = [each for each in bench.detection._further if type(each).__name__ == "HttpSessions"]
    assert detector._known == {}


def test_a_client_that_nobody_has_made_is_not_noted(bench: Any) -> None:
    with httpx.Client(trust_env=False):
        (detector,) = [each for each in bench.detection._further if type(each).__name__ == "HttpSessions"]
        assert detector._known == {}


def test_a_client_on_the_loop_that_runs_is_closed_without_turning_it(bench: Any) -> None:
    fixture = Owner("fixture", "client", "session")

    async def use() -> None:
        KEPT.append(aiohttp.ClientSession())
        await get(KEPT[0])

    async def end() -> list[Any]:
        fixture.ended = True
        bench.detection.release(fixture)
        findings: list[Any] = bench.detection.drain()
        return findings

    bench.run_as(fixture, use)
    (finding,) = bench.run_as(None, end)
    assert (finding.rule, finding.owner.name) == ("UNO409", "client")
    assert KEPT[0].closed
