"""Connections with TLS that tests leave."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from typing import Any

import pytest
import trustme

from tests.leaks.examples import on_both_loops
from tests.leaks.network.connections import KEPT, answer

pytestmark = pytest.mark.usefixtures("the_loop_ends_what_is_closing")
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture(scope="module")
def contexts() -> Contexts:
    """One for the client and one for the server."""
    authority: Any = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(theirs)
    authority.configure_trust(ours)
    return ours, theirs


@on_both_loops
@pytest.mark.parametrize("closes", [True, False])
def test_a_connection_with_tls(bench: Any, contexts: Contexts, closes: bool) -> None:
    ours, theirs = contexts

    async def test() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=theirs)
        port = server.sockets[0].getsockname()[1]
        connection = asyncio.open_connection("127.0.0.1", port, ssl=ours, server_hostname="localhost")
        reader, writer = await connection
        writer.write(b"hello")
        assert await reader.read(100) == b"hello"
        KEPT.append(writer)
        if closes:
            writer.close()
        server.close()

    findings = bench.run_test(test)
    assert [finding.rule for finding in findings] == ([] if closes else ["UNO401"])
    KEPT.clear()


@on_both_loops
def test_a_writer_with_tls_that_is_dropped(bench: Any, contexts: Contexts) -> None:
    ours, theirs = contexts

    async def test() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=theirs)
        port = server.sockets[0].getsockname()[1]
        await asyncio.open_connection("127.0.0.1", port, ssl=ours, server_hostname="localhost")
        server.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        (finding,) = bench.run_test(test)
    assert finding.subject == "connection of a StreamWriter was not closed"
