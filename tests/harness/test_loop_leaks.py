"""Generators, timers, readers and loops that tests and fixtures leave, in whole runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")

PRELUDE = """
    import contextlib
    import socket
    KEPT = []
    uno = pytest.mark.uno_async
    async def ticks():
        for index in range(5):
            yield index
"""

LEAKS = {
    "UNO202": "generator = ticks(); KEPT.append(generator); await anext(generator)",
    "UNO203": "asyncio.get_running_loop().call_later(60, print)",
    "UNO204": "KEPT.extend(socket.socketpair()); asyncio.get_running_loop().add_reader(KEPT[-1], print)",
    "UNO205": "KEPT.append(asyncio.new_event_loop())",
}

CLEAN_UP = """
    @pytest.fixture(autouse=True, scope="session")
    def sockets():
        yield
        for thing in KEPT:
            if isinstance(thing, socket.socket):
                thing.close()
"""


def report_of(project: Any, source: str) -> str:
    project.run(f"{PRELUDE}{CLEAN_UP}{source}", "--uno-report", "json:report.json")
    report: str = project.pytester.path.joinpath("report.json").read_text(encoding="utf-8")
    return report


@pytest.mark.parametrize("clock", ["virtual", "real"])
@pytest.mark.parametrize("rule", LEAKS)
def test_a_test_that_leaks_fails(project: Any, rule: str, clock: str) -> None:
    result = project.run(
        f"""{PRELUDE}{CLEAN_UP}
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
        f"""{PRELUDE}{CLEAN_UP}
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
def test_a_sync_fixture_that_leaves_a_loop_is_blamed(project: Any, scope: str) -> None:
    result = project.run(
        f"""{PRELUDE}
    @pytest.fixture(scope="{scope}")
    def hub():
        KEPT.append(asyncio.new_event_loop())
        yield
    @uno
    async def test_only(hub): pass
    """
    )
    assert project.outcomes(result) == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines(["UNO205 *", "*created*in hub", f"*owner*fixture 'hub' ({scope}, *"])


def test_fixtures_that_clean_up_are_silent(project: Any) -> None:
    result = project.run(
        f"""{PRELUDE}
    @pytest.fixture(scope="module")
    async def generator():
        async with contextlib.aclosing(ticks()) as generator:
            await anext(generator)
            yield generator
    @pytest.fixture(scope="module")
    async def timer():
        loop, handles = asyncio.get_running_loop(), []
        def tick():
            handles[:] = [loop.call_later(0.005, tick)]
        tick()
        yield
        handles[0].cancel()
    @pytest.fixture(scope="module")
    async def reader():
        a, b = socket.socketpair()
        with a, b:
            asyncio.get_running_loop().add_reader(a, print)
            yield
            asyncio.get_running_loop().remove_reader(a)
    @pytest.fixture(scope="module")
    def loop_of_thread():
        import threading
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        yield loop
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    @uno
    @pytest.mark.parametrize("number", range(3))
    async def test_uses(number, generator, timer, reader, loop_of_thread):
        await anext(generator)
        await asyncio.sleep(0.02)
        future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop_of_thread)
        await asyncio.wrap_future(future)
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
    first = report_of(project, tests)
    rules = sorted(leak["rule"] for leak in json.loads(first)["leaks"])
    assert rules == [*LEAKS, "UNO404"]  # the reader's sockets were not closed, either
    assert report_of(project, tests) == first
