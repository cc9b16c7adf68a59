"""Under pytest's own options: --pdb, --lf, --sw, --setup-only and their like."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

LEAKS = """
    @pytest.mark.uno_async
    async def test_leaks():
        asyncio.create_task(asyncio.Event().wait(), name="left")
        await asyncio.sleep(0)
"""
CLEAN = """
    @pytest.mark.uno_async
    async def test_clean():
        await asyncio.sleep(0)
"""


def test_pdb_on_a_leaking_test_goes_on(project: Any) -> None:
    project.file("test_it.py", LEAKS + CLEAN)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--pdb"],
        cwd=project.pytester.path,
        input="c\nc\nc\n",
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert "INTERNALERROR" not in done.stdout + done.stderr
    assert "UNO101 pending-task" in done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert done.returncode == 1


def test_pdb_on_a_failing_test_stops_once(project: Any) -> None:
    source = """
    @pytest.mark.uno_async
    async def test_fails():
        here = 17
        assert here == 18
    """
    project.file("test_it.py", source + CLEAN)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--pdb"],
        cwd=project.pytester.path,
        input="p here * 1000\nc\nc\n",
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert "INTERNALERROR" not in done.stdout + done.stderr
    assert "(Pdb) 17000" in done.stdout
    assert done.stdout.count("entering PDB") == 1
    assert "1 failed, 1 passed" in done.stdout


@pytest.mark.slow
def test_last_failed_and_stepwise_know_a_leak_as_a_failure(project: Any) -> None:
    project.pytester.path.joinpath("pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\naddopts = -p no:randomly\n",
        encoding="utf-8",
    )
    source = CLEAN + LEAKS + CLEAN.replace("test_clean", "test_last")
    assert project.outcomes(project.run_apart(source)) == {"failed": 1, "passed": 2}
    assert project.outcomes(project.run_apart(None, "--lf")) == {"failed": 1}
    first = project.run_apart(None, "--ff", "-v")
    lines = project.lines_with(first, "test_it.py::", "%]")
    assert ["test_leaks" in line for line in lines] == [True, False, False]
    stopped = project.run_apart(None, "--sw")
    assert {"failed": 1, "passed": 1}.items() <= project.outcomes(stopped).items()
    assert project.outcomes(project.run_apart(None, "--sw")) == {"failed": 1, "deselected": 1}


def test_exit_first_stops_at_a_leak(project: Any) -> None:
    result = project.run(LEAKS + CLEAN, "-x")
    assert project.outcomes(result) == {"failed": 1}


def test_setup_only_runs_no_test_and_judges_the_fixtures(project: Any) -> None:
    source = """
    @pytest.fixture
    async def number():
        print("number made")
        yield 1
        print("number gone")

    @pytest.mark.uno_async
    async def test_it(number):
        raise AssertionError("must not run")
    """
    result = project.run(source, "--setup-only", "-s")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*number made*", "*SETUP *F number", "*test_it.py::test_it*number gone*"])


def test_setup_plan_makes_nothing(project: Any) -> None:
    source = """
    @pytest.fixture
    async def number():
        raise AssertionError("must not run")

    @pytest.fixture(scope="session")
    async def database():
        raise AssertionError("must not run")

    @pytest.mark.uno_async
    async def test_own(number, uno_manager): ...

    @pytest.mark.uno_async
    async def test_wide(database, number): ...
    """
    result = project.run(source, "--setup-plan", "-W", "error")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*SETUP *F number*", "*test_it.py::test_own*", "*SETUP *S database*", "*test_it.py::test_wide*"]
    )
    assert project.lines_with(result, "rror") == []


def test_setup_show_runs_the_tests(project: Any) -> None:
    result = project.run(LEAKS + CLEAN, "--setup-show")
    assert project.outcomes(result) == {"failed": 1, "passed": 1}


def test_durations_show_the_three_phases(project: Any) -> None:
    result = project.run(LEAKS + CLEAN, "--durations=0", "-vv")
    assert project.outcomes(result) == {"failed": 1, "passed": 1}
    for name in ("test_leaks", "test_clean"):
        for phase in ("setup", "call", "teardown"):
            assert len(project.lines_with(result, phase, f"test_it.py::{name}")) == 1
