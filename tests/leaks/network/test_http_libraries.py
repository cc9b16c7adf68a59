"""The attributes of the HTTP libraries are there, and mean what the detector takes them for."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import aiohttp
import httpx
import pytest

from pytest_uno.leaks.network.http_libraries import LIBRARIES


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.kind)
def test_the_class_is_where_it_is_looked_for(library: Any) -> None:
    kind = getattr(sys.modules[library.module], library.kind)
    assert kind is getattr(sys.modules[library.package], library.kind)
    assert not library.is_open(kind.__new__(kind))  # one whose constructor has failed


def test_a_session_of_aiohttp() -> None:
    library = LIBRARIES[0]

    async def main() -> None:
        session = aiohttp.ClientSession()
        connector = session.connector
        assert library.is_open(session)
        assert library.pools_of(session) == [connector]
        library.close(session)
        assert connector is not None
        assert connector.closed
        assert not library.is_open(session)
        async with aiohttp.TCPConnector() as shared:
            session = aiohttp.ClientSession(connector=shared, connector_owner=False)
            library.close(session)
            assert not shared.closed
            assert not library.is_open(session)

    asyncio.run(main())


def test_an_async_client_of_httpx() -> None:
    library = LIBRARIES[1]

    async def main() -> None:
        client = httpx.AsyncClient(
            trust_env=False, mounts={"all://host": httpx.AsyncHTTPTransport(), "all://no": None}
        )
        assert not library.is_open(client)
        assert len(library.pools_of(client)) == 2
        async with client:
            assert library.is_open(client)
        assert not library.is_open(client)
        client = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(200)))
        await client.get("http://host/")
        assert library.is_open(client)
        assert library.pools_of(client) == []
        library.close(client)
        assert client.is_closed
        assert not library.is_open(client)

    asyncio.run(main())


def test_a_client_of_httpx() -> None:
    library = LIBRARIES[2]
    client = httpx.Client(trust_env=False)
    assert not library.is_open(client)
    with client:
        assert library.is_open(client)
        library.close(client)
        assert client.is_closed
    mocked = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200)))
    mocked.get("http://host/")
    assert not library.is_open(mocked)
