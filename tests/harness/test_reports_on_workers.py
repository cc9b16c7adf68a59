"""Reports are the same on workers and when tests are run again, and nothing is lost where a run breaks off."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

FORMATS = ("json", "html", "sarif", "gitlab", "markdown", "github")
SUITE = """
async def poll():
    await asyncio.Event().wait()

def start():
    asyncio.create_task(poll(), name="poller")

@pytest.mark.uno_async
@pytest.mark.parametrize("number", range(6))
async def test_leaks(number):
    start()
    await asyncio.sleep(0)

@pytest.mark.uno_async
async def test_timer():
    asyncio.get_running_loop().call_later(60, print)

@pytest.mark.uno_async(leaks="warn")
async def test_warns():
    asyncio.get_running_loop().call_later(30, print)
"""


def options(folder: str) -> list[str]:
    return [f"--uno-report={name}:{folder}/{name}" for name in FORMATS]


def read_without_workers(folder: Path) -> dict[str, str]:
    texts = {name: (folder / name).read_text("utf-8") for name in FORMATS}
    texts["json"] = re.sub(r'"worker": (null|"gw\d+")', '"worker": null', texts["json"])
    return texts


def test_workers_report_what_one_process_reports(project: Any, all_plugins: None) -> None:
    project.run(SUITE, *options("serial"))
    project.run(SUITE, *options("parallel"), "-n2")
    serial = read_without_workers(project.pytester.path / "serial")
    assert read_without_workers(project.pytester.path / "parallel") == serial
    assert '"gw' in (project.pytester.path / "parallel" / "json").read_text("utf-8")


def test_an_attempt_that_is_run_again_does_not_count(project: Any, all_plugins: None) -> None:
    source = """
    attempts = []

    async def poll():
        await asyncio.Event().wait()

    @pytest.mark.uno_async
    async def test_leaks_at_first():
        attempts.append(1)
        if len(attempts) == 1:
            asyncio.create_task(poll())
            await asyncio.sleep(0)

    @pytest.mark.uno_async
    async def test_always_leaks():
        asyncio.create_task(poll())
        await asyncio.sleep(0)
    """
    for workers in ((), ("-n2",)):
        result = project.run(source, "--reruns=2", "--uno-report=json", *workers)
        outcomes = project.outcomes(result)
        assert (outcomes["passed"], outcomes["failed"], outcomes["rerun"]) == (1, 1, 3)
        (leak,) = project.leaks()
        assert [seen["test"] for seen in leak["seen"]] == ["test_it.py::test_always_leaks"]
        assert leak["count"] == 1


def test_a_worker_that_dies_loses_nothing_that_was_finished(project: Any, all_plugins: None) -> None:
    result = project.run_apart(
        """
    import os

    async def poll():
        await asyncio.Event().wait()

    @pytest.mark.uno_async
    async def test_leaks():
        asyncio.create_task(poll())
        await asyncio.sleep(0)

    def test_dies():
        os._exit(3)
    """,
        "-n1",
        "--uno-report=json",
    )
    assert "crashed" in result.stdout.str()
    (leak,) = project.leaks()
    assert leak["seen"][0]["test"] == "test_it.py::test_leaks"
    assert "1 distinct leak, seen in 1 of 1 test" in result.stdout.str()


@pytest.mark.parametrize("ending", ["raise KeyboardInterrupt", "pytest.exit('enough')"])
def test_an_interrupted_run_reports_what_is_known(project: Any, ending: str) -> None:
    result = project.run_apart(
        f"""
    async def poll():
        await asyncio.Event().wait()

    @pytest.mark.uno_async
    async def test_leaks():
        asyncio.create_task(poll())
        await asyncio.sleep(0)

    def test_ends():
        {ending}
    """,
        "--uno-report=json",
        "--uno-report=html",
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert len(project.leaks()) == 1
    assert "UNO101" in (project.pytester.path / "leaks.html").read_text("utf-8")
    assert "1 distinct leak, seen in 1 of 1 test" in result.stdout.str()


def test_a_test_that_fails_by_itself_reports_its_leaks_too(project: Any) -> None:
    project.run(
        """
    async def poll():
        await asyncio.Event().wait()

    @pytest.mark.uno_async
    async def test_fails():
        asyncio.create_task(poll())
        await asyncio.sleep(0)
        assert False
    """,
        "--uno-report=json",
    )
    text = (project.pytester.path / "leaks.json").read_text("utf-8")
    assert json.loads(text)["summary"] == {"distinct": 1, "total": 1, "tests": 1}
