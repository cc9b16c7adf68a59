"""Servers outside of the virtual loop: in a thread, on a real loop of its own or with plain sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

__all__ = ["connection_to", "plain_server", "real_server"]

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.contextmanager
def real_server(handler: Handler) -> Generator[tuple[str, int], None, None]:
    """Serve in a thread with asyncio's own loop, in real time.

    Args:
        handler: serves one connection.
    """
    # asyncio turns the delay of small packets off where the protocol is given.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    started = threading.Event()
    ends: list[Callable[[], object]] = []

    async def serve() -> None:
        end = asyncio.Event()
        loop = asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(end.set))
        handling: set[asyncio.Task[None]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            handling.add(task)
            with contextlib.suppress(ConnectionError, asyncio.CancelledError), contextlib.closing(writer):
                await handler(reader, writer)

        server = await asyncio.start_server(handle, sock=listener)
        started.set()
        await end.wait()
        server.close()
        for task in handling:
            task.cancel()
        await asyncio.gather(*handling)

    def run() -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="real server")
    address = listener.getsockname()
    thread.start()
    try:
        assert started.wait(30)
        yield address
    finally:
        ends[0]()
        thread.join(30)


@contextlib.contextmanager
def plain_server(handler: Callable[[socket.socket], object]) -> Generator[tuple[str, int], None, None]:
    """Serve one connection in a thread that blocks.

    Args:
        handler: serves the connection.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with listener:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(30)
                handler(connection)

    thread = threading.Thread(target=run, name="plain server")
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        thread.join(30)


@contextlib.asynccontextmanager
async def connection_to(
    address: tuple[str, int],
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """Connect streams of the running loop."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()
