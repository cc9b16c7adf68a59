"""Two runs of a suite find the same, in whichever order and in however many processes the tests run."""

from __future__ import annotations

import json
from typing import Any

import pytest

LEAKY = """
import gc
import socket
import subprocess
import sys
import threading


async def forever():
    await asyncio.Event().wait()


async def fails():
    raise LookupError("nobody looks")


async def numbers():
    yield 1
    yield 2


def start():
    asyncio.create_task(forever())


@pytest.mark.uno_async
@pytest.mark.parametrize("number", range(3))
async def test_task(number):
    start()
    await asyncio.sleep(number)

@pytest.mark.uno_async
async def test_two_kinds():
    asyncio.create_task(forever())
    forever()
    await asyncio.sleep(0)

@pytest.mark.uno_async
async def test_exception():
    asyncio.create_task(fails())
    await asyncio.sleep(1)

@pytest.mark.uno_async
async def test_collected_in_a_cycle():
    cycle = [forever()]
    cycle.append(cycle)

@pytest.mark.uno_async
async def test_collected_by_hand():
    cycle = [forever()]
    cycle.append(cycle)
    del cycle
    gc.collect()

@pytest.mark.uno_async
async def test_generator(kept):
    kept.append(numbers())
    await anext(kept[0])

@pytest.mark.uno_async
async def test_timer():
    asyncio.get_running_loop().call_later(60, start)

@pytest.mark.uno_async
async def test_server():
    await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)

@pytest.mark.uno_async
async def test_process():
    await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=subprocess.PIPE)

@pytest.mark.uno_async
async def test_socket(kept):
    kept.append(socket.socket())

@pytest.mark.uno_async
async def test_file(kept):
    kept.append(open(__file__))

@pytest.mark.uno_async
async def test_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()

@pytest.mark.uno_async
async def test_lock():
    await asyncio.Lock().acquire()

@pytest.mark.uno_async
async def test_loop():
    asyncio.new_event_loop()

@pytest.mark.uno_async
async def test_clean():
    await asyncio.sleep(1)

@pytest.mark.uno_async
async def test_of_a_fixture(poller):
    await asyncio.sleep(0)
"""

CONFTEST = """
@pytest.fixture
def kept():
    return []


@pytest.fixture(scope="module")
async def poller():
    asyncio.create_task(asyncio.Event().wait())
    yield
"""


def test_runs_find_the_same_in_any_order_and_in_two_processes(project: Any) -> None:
    pytest.importorskip("pytest_randomly")
    pytest.importorskip("xdist")
    project.pytester.path.joinpath("pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\naddopts = --import-mode=importlib\n",
        encoding="utf-8",
    )
    project.file("conftest.py", CONFTEST)
    project.file("test_it.py", LEAKY)
    found: list[str] = []
    for arguments in (
        ("-p", "no:randomly"),
        ("-p", "randomly", "--randomly-seed=1"),
        ("-p", "randomly", "--randomly-seed=2", "--uno-clock=real"),
        ("-p", "randomly", "--randomly-seed=3", "-n", "2"),
    ):
        result = project.run_apart(None, "--uno-report=json:leaks.json", *arguments)
        assert project.outcomes(result).get("passed") == 2
        leaks = project.leaks()
        for leak in leaks:
            for seen in leak["seen"]:
                del seen["worker"]  # the one thing that tells the runs apart
        found.append(json.dumps(leaks, indent=1))
    assert found[1:] == found[:1] * 3
    rules = {leak["rule"] for leak in project.leaks()}
    assert rules >= {"UNO101", "UNO102", "UNO201", "UNO202", "UNO203", "UNO402", "UNO403", "UNO404", "UNO405"}
    assert rules >= {"UNO205", "UNO407", "UNO502"}
