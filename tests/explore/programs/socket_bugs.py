"""Bugs between connections, each with its fixed twin; both ends are in the same loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.explore.programs.pairs import Pair, pair

SOCKETS: list[Pair] = []

Handler = Callable[[str], Awaitable[str]]


@contextlib.asynccontextmanager
async def serving(answer: Handler) -> AsyncIterator[int]:
    """Serve lines, and yield the port."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while line := await reader.readline():
            writer.write((await answer(line.decode().strip())).encode() + b"\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


async def ask(port: int, *lines: str) -> list[str]:
    """Ask a server over a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        answers: list[str] = []
        for line in lines:
            writer.write(line.encode() + b"\n")
            answers.append((await reader.readline()).decode().strip())
        return answers
    finally:
        writer.close()
        await writer.wait_closed()


@pair(SOCKETS)
async def stock_level(has_bug: bool) -> None:
    stock = {"level": 5}
    lock = asyncio.Lock()

    async def answer(line: str) -> str:
        command, _, value = line.partition(" ")
        if command == "set":
            stock["level"] = int(value)
        return str(stock["level"])

    async def buy(port: int) -> None:
        (level,) = await ask(port, "get")
        await ask(port, f"set {int(level) - 1}")

    async def customer(port: int, looks: int) -> None:
        await ask(port, *["get"] * looks)
        if has_bug:
            await buy(port)
        else:
            async with lock:
                await buy(port)

    async with serving(answer) as port:
        await asyncio.gather(customer(port, 1), customer(port, 12))
    assert stock["level"] == 3, stock


@pair(SOCKETS)
async def late_answer_wins(has_bug: bool) -> None:
    shown = ""
    newest = 0

    async def answer(line: str) -> str:
        return line.upper()

    async with serving(answer) as port:

        async def search(text: str) -> None:
            nonlocal shown, newest
            newest += 1
            mine = newest
            (found,) = await ask(port, text)
            if has_bug or mine == newest:
                shown = found

        await asyncio.gather(search("a"), search("ab"))
    assert shown == "AB", shown


@pair(SOCKETS)
async def stale_cache(has_bug: bool) -> None:
    stored = {"value": "old"}
    cache: dict[str, str] = {}
    version = 0

    async def answer(line: str) -> str:
        if line == "write":
            stored["value"] = "new"
        return stored["value"]

    async with serving(answer) as port:

        async def read() -> str:
            if "value" not in cache:
                seen = version
                (value,) = await ask(port, "read")
                if not has_bug and seen != version:
                    return value
                cache["value"] = value
            return cache["value"]

        async def write() -> None:
            nonlocal version
            await ask(port, "ping", "ping", "ping", "write")
            version += 1
            cache.pop("value", None)

        await asyncio.gather(read(), write())
        assert await read() == "new"
