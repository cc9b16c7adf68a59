"""Transports, servers, processes and sockets that tests and fixtures leave, in whole runs."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")

PRELUDE = """
    import socket
    import subprocess
    import sys
    KEPT = []
    uno = pytest.mark.uno_async
    WAITS = [sys.executable, "-c", "input()"]
"""

LEAKS = {
    "UNO401": "await asyncio.get_running_loop().create_datagram_endpoint("
    "asyncio.DatagramProtocol, ('127.0.0.1', 0))",
    "UNO402": "await asyncio.start_server(print, '127.0.0.1', 0)",
    "UNO403": "KEPT.append(subprocess.Popen(WAITS, stdin=subprocess.PIPE))",
    "UNO404": "KEPT.append(socket.socket())",
}


@pytest.mark.parametrize("clock", ["virtual", "real"])
@pytest.mark.parametrize("rule", LEAKS)
def test_a_test_that_leaks_fails(project: Any, rule: str, clock: str) -> None:
    result = project.run(
        f"""{PRELUDE}
    @uno(clock="{clock}")
    async def test_leaks():
        {LEAKS[rule]}
    @uno
    async def test_innocent(): pass
    """
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines([f"{rule} *", "*created*in test_leaks"])


@pytest.mark.parametrize("scope", ["function", "class", "module", "session"])
@pytest.mark.parametrize("rule", LEAKS)
def test_a_fixture_that_leaks_is_blamed(project: Any, rule: str, scope: str) -> None:
    result = project.run(
        f"""{PRELUDE}
    @pytest.fixture(scope="{scope}")
    async def hub():
        {LEAKS[rule]}
        yield
    @uno
    class TestHub:
        async def test_first(self, hub): pass
        async def test_last(self, hub): pass
    """
    )
    errors = 2 if scope == "function" else 1
    assert project.outcomes(result) == {"passed": 2, "errors": errors}
    result.stdout.fnmatch_lines([f"{rule} *", "*created*in hub", f"*owner*fixture 'hub' ({scope}, *"])


@pytest.mark.parametrize("scope", ["function", "class", "module", "session"])
@pytest.mark.parametrize("rule", ["UNO403", "UNO404"])
def test_a_sync_fixture_that_leaks_is_blamed(project: Any, rule: str, scope: str) -> None:
    result = project.run(
        f"""{PRELUDE}
    @pytest.fixture(scope="{scope}")
    def hub():
        {LEAKS[rule]}
        yield
    @uno
    async def test_only(hub): pass
    """
    )
    assert project.outcomes(result) == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines([f"{rule} *", "*created*in hub", f"*owner*fixture 'hub' ({scope}, *"])


@pytest.mark.skipif(sys.platform == "win32", reason="asyncio's selector loop has no processes there")
def test_fixtures_that_clean_up_are_silent(project: Any) -> None:
    result = project.run(
        f"""{PRELUDE}
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


def test_findings_are_the_same_in_each_run(project: Any) -> None:
    tests = "".join(
        f"""
    @uno
    async def test_{rule}():
        {leak}
    """
        for rule, leak in LEAKS.items()
    )
    reports: list[str] = []
    for _ in range(2):
        project.run(PRELUDE + tests, "--uno-report", "json:report.json")
        reports.append(project.pytester.path.joinpath("report.json").read_text(encoding="utf-8"))
    assert sorted(leak["rule"] for leak in json.loads(reports[0])["leaks"]) == list(LEAKS)
    assert reports[0] == reports[1]
