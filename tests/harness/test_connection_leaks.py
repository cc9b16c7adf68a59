"""Connections, servers, processes and sockets that fixtures end, in whole runs."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.harness.leak_examples import CONNECTIONS

pytestmark = pytest.mark.usefixtures("collected")


@pytest.mark.skipif(sys.platform == "win32", reason="asyncio's selector loop has no processes there")
def test_fixtures_that_clean_up_are_silent(project: Any) -> None:
    result = project.run(
        f"""{CONNECTIONS.prelude}
    async def echo(reader, writer):
        while data := await reader.read(100):
            writer.write(data)
        writer.close()
    class Pool:
        def __init__(self, port):
            self.port, self.idle = port, []
        async def ask(self, data):
            if not self.idle:
                self.idle.append(await asyncio.open_connection("127.0.0.1", self.port))
            reader, writer = self.idle[0]
            writer.write(data)
            return await reader.readexactly(len(data))
    @pytest.fixture(scope="session")
    async def server():
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            yield server.sockets[0].getsockname()[1]
    @pytest.fixture(scope="module")
    async def pool(server):
        pool = Pool(server)
        yield pool
        for reader, writer in pool.idle:
            writer.close()
            await writer.wait_closed()
    @pytest.fixture(scope="module")
    async def process():
        process = await asyncio.create_subprocess_exec(*WAITS, stdin=subprocess.PIPE)
        yield process
        process.stdin.close()
        await process.wait()
    @pytest.fixture(scope="module")
    def sock():
        with socket.socket() as sock:
            yield sock
    @uno
    @pytest.mark.parametrize("number", range(3))
    async def test_uses(number, server, pool, process, sock):
        assert await pool.ask(b"hello") == b"hello"
        reader, writer = await asyncio.open_connection("127.0.0.1", server)
        writer.write(b"x")
        assert await reader.read(1) == b"x"
        writer.close()
    """
    )
    assert project.outcomes(result) == {"passed": 3}
