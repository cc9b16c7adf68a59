"""Items and reports live until the end of a run: what a test leaves on them costs every collection of garbage."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest

from pytest_uno.clock.wake_up_sockets import WakeUpSockets

LOOK = """
from pytest_uno.harness.run_state import options_of

REPORTS = []

def pytest_runtest_logreport(report):
    REPORTS.append(report)

def pytest_sessionfinish(session):
    items = session.items
    print("\\nREPLACED", sorted({name for item in items for name in ("setup", "runtest") if name in vars(item)}))
    print("OPTIONS", len({id(options_of(item)) for item in items}), "for", len(items))
    carried = [report.uno_leaks for report in REPORTS if report.when == "teardown" and report.passed]
    print("CARRIED", len({id(leaks) for leaks in carried}), [*map(len, carried)])
"""


def look_at(project: Any, source: str) -> list[str]:
    project.file("conftest.py", LOOK)
    result = project.run(source, "-s")
    return [line for line in result.outlines if line.startswith(("REPLACED", "OPTIONS", "CARRIED"))]


def test_a_clean_test_leaves_nothing_of_its_own(project: Any) -> None:
    lines = look_at(
        project,
        """
    pytestmark = pytest.mark.uno_async

    async def test_one(): ...
    async def test_two(): ...

    class TestMore:
        async def test_three(self): await asyncio.sleep(9)
    """,
    )
    assert lines == ["REPLACED []", "OPTIONS 1 for 3", "CARRIED 1 [0, 0, 0]"]


def test_whatever_becomes_of_a_test_its_item_is_as_it_was(project: Any) -> None:
    lines = look_at(
        project,
        """
    pytestmark = pytest.mark.uno_async

    @pytest.fixture
    async def broken(): raise OSError

    @pytest.fixture(scope="module")
    async def shared(): return 1

    @pytest.fixture(scope="module")
    def unavailable(): raise OSError

    async def test_fails(): assert 0
    async def test_errs(broken): ...
    async def test_is_not_reached(unavailable): ...
    async def test_shares(shared): ...
    @pytest.mark.uno_async(schedules=3)
    async def test_is_explored(): ...
    async def test_leaks(uno_manager): asyncio.create_task(asyncio.sleep(9))
    """,
    )
    assert lines[0] == "REPLACED []"


def test_tests_that_say_something_else_do_not_share(project: Any) -> None:
    project.file("conftest.py", LOOK)
    result = project.run(
        """
    @pytest.mark.uno_async(timeout=5)
    async def test_five(): ...

    @pytest.mark.uno_async(timeout=5.0)
    async def test_five_again(): ...

    @pytest.mark.uno_async(timeout=1)
    async def test_one(): await asyncio.sleep(3)

    @pytest.mark.uno_async
    async def test_any(): await asyncio.sleep(3)
    """,
        "-s",
    )
    assert project.outcomes(result) == {"passed": 3, "failed": 1}
    assert "OPTIONS 3 for 4" in result.outlines


def test_a_guard_stands_once_however_often_a_test_is_tried(project: Any) -> None:
    project.file(
        "conftest.py",
        """
    from _pytest.runner import runtestprotocol

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(item, nextitem):
        for is_last in (False, True):
            item._initrequest()
            runtestprotocol(item, nextitem=nextitem, log=is_last)
            print("\\nGUARDS", item.fixturenames.count("_uno_guard"))
        return True
    """,
    )
    result = project.run(
        """
    @pytest.fixture(scope="module")
    async def shared(): return 1

    @pytest.mark.uno_async
    async def test_shares(shared): await asyncio.sleep(3)
    """,
        "-s",
    )
    assert project.outcomes(result) == {"passed": 1}
    assert result.outlines.count("GUARDS 1") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="each loop makes its own there")
def test_loops_hand_on_the_sockets_that_wake_them(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lent: list[tuple[socket.socket, socket.socket]] = []
    take = WakeUpSockets.take

    def take_and_tell(sockets: WakeUpSockets) -> tuple[socket.socket, socket.socket]:
        lent.append(take(sockets))
        return lent[-1]

    monkeypatch.setattr(WakeUpSockets, "take", take_and_tell)
    result = project.run(
        """
    pytestmark = pytest.mark.uno_async

    @pytest.mark.parametrize("number", range(3))
    async def test_one(number):
        await asyncio.to_thread(str)
    """
    )
    assert project.outcomes(result) == {"passed": 3}
    assert len(lent) == 3
    (reader, writer) = {end for pair in lent for end in pair}
    assert reader.fileno() == writer.fileno() == -1
