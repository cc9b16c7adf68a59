"""Servers, clients and protocols, and what is kept of them in the course of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["KEPT", "Client", "Echo", "answer", "serve"]

KEPT: list[Any] = []


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        KEPT.append(self)

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, asyncio.Transport)
        self.transport.write(data)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def serve(protocol: Callable[[], asyncio.BaseProtocol] | None = None) -> tuple[asyncio.Server, int]:
    if protocol is None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
    else:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocol, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


class Client:
    """A library's client, of the user's."""

    async def open(self, port: int) -> None:
        _, self.writer = await asyncio.open_connection("127.0.0.1", port)

    async def aclose(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()
