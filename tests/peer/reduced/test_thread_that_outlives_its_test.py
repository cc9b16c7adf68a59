"""UNO407 and UNO404, as anyio's tests show them: a server's thread, and its connection, after the client is done."""

from __future__ import annotations

import asyncio
import socket
import threading


def test_a_connection_in_a_thread_that_nobody_joins() -> None:
    end = threading.Event()
    connections: list[socket.socket] = []

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        connections.append(connection)
        end.wait(10)  # the test sleeps for a second here
        connection.close()

    async def main(listening: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        _, writer = await asyncio.open_connection(*listening.getsockname())
        while not connections:
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()
        return thread

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = asyncio.run(main(listening))
    # The loop and the listening socket are closed.
    assert thread.is_alive()
    assert connections[0].fileno() != -1
    end.set()
    thread.join()
