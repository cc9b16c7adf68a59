"""Bugs whose other end is outside the loop: a server in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socketserver
import threading
from collections.abc import Iterator

from tests.explore.programs.pairs import Pair, pair

OUTSIDE: list[Pair] = []


class Shelf(socketserver.StreamRequestHandler):
    """Answers `get` and `set N`."""

    def handle(self) -> None:
        shelf: dict[str, int] = self.server.shelf  # type: ignore[attr-defined]
        for line in self.rfile:
            command, _, value = line.decode().strip().partition(" ")
            if command == "set":
                shelf["level"] = int(value)
            self.wfile.write(f"{shelf['level']}\n".encode())


class ShelfServer(socketserver.ThreadingTCPServer):
    """Serves each connection in a thread."""

    daemon_threads = True
    allow_reuse_address = True
    shelf: dict[str, int]


@contextlib.contextmanager
def shelf_in_a_thread() -> Iterator[tuple[int, dict[str, int]]]:
    """Yield the port, and what is on the shelf."""
    with ShelfServer(("127.0.0.1", 0), Shelf) as server:
        server.shelf = {"level": 5}
        thread = threading.Thread(target=server.serve_forever, args=(0.001,))
        thread.start()
        try:
            yield server.server_address[1], server.shelf
        finally:
            server.shutdown()
            thread.join()


@pair(OUTSIDE)
async def level_of_a_shelf(has_bug: bool) -> None:
    lock = asyncio.Lock()
    with shelf_in_a_thread() as (port, shelf):

        async def ask(line: str) -> int:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(line.encode() + b"\n")
            answer = int(await reader.readline())
            writer.close()
            await writer.wait_closed()
            return answer

        async def take() -> None:
            level = await ask("get")
            await ask(f"set {level - 1}")

        async def customer(looks: int) -> None:
            for _ in range(looks):
                await ask("get")
            if has_bug:
                await take()
            else:
                async with lock:
                    await take()

        await asyncio.gather(customer(0), customer(3))
    assert shelf["level"] == 3, shelf
