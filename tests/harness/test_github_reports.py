"""GitHub's annotations and job summary, which a run in a job makes by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

LEAKY = """
async def poll():
    await asyncio.Event().wait()

@pytest.mark.uno_async
async def test_leaks():
    asyncio.create_task(poll(), name="poller")
    await asyncio.sleep(0)

@pytest.mark.uno_async
async def test_leaks_too():
    asyncio.get_running_loop().call_later(60, print)
"""


@pytest.fixture
def summary(project: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let a job run; return the file of its summary."""
    path: Path = project.pytester.path / "summary.md"
    path.write_text("of an earlier step\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


def run_as_job(project: Any, source: str, *args: str) -> pytest.RunResult:
    """Run pytest as the job does, not as a test does."""
    with pytest.MonkeyPatch.context() as patches:
        patches.delenv("PYTEST_CURRENT_TEST")
        result: pytest.RunResult = project.run(source, *args)
    return result


def commands_of(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("::")]


def test_a_job_is_annotated_by_itself(project: Any, summary: Path) -> None:
    result = run_as_job(project, LEAKY)
    first, second = commands_of(result)
    assert first.startswith("::error file=test_it.py,line=9,title=UNO101 pending-task::")
    assert second.startswith("::error file=test_it.py,line=14,title=UNO203 timer::")
    text = summary.read_text("utf-8")
    assert text.startswith("of an earlier step\n")
    assert text.count("UNO101") >= 1


def test_annotations_come_with_workers(project: Any, summary: Path, all_plugins: None) -> None:
    assert len(commands_of(run_as_job(project, LEAKY, "-n2"))) == 2


@pytest.mark.usefixtures("summary")
def test_an_inner_pytest_does_not_annotate(project: Any) -> None:
    assert commands_of(project.run(LEAKY)) == []


def test_asking_for_it_does_it_once_and_anywhere(project: Any, summary: Path) -> None:
    assert len(commands_of(run_as_job(project, LEAKY, "--uno-report=github"))) == 2
    project.pytester.path.joinpath("summary.md").unlink()
    result = run_as_job(project, LEAKY, "--uno-report=github:commands.txt")
    assert commands_of(result) == []
    assert project.pytester.path.joinpath("commands.txt").read_text("utf-8").count("::error ") == 2


def test_a_clean_job_is_left_alone(project: Any, summary: Path) -> None:
    result = run_as_job(project, "@pytest.mark.uno_async\nasync def test_clean(): ...")
    assert commands_of(result) == []
    assert summary.read_text("utf-8") == "of an earlier step\n"


def test_a_summary_that_cannot_be_written_does_not_fail_the_job(project: Any, summary: Path) -> None:
    summary.unlink()
    summary.mkdir()
    result = run_as_job(project, LEAKY.replace("uno_async\n", "uno_async(leaks='warn')\n"))
    assert project.outcomes(result) == {"passed": 2, "warnings": 2}
    assert result.ret == pytest.ExitCode.OK
    assert f"cannot write the leak report {summary}" in result.stdout.str()
    assert [line[:10] for line in commands_of(result)] == ["::warning ", "::warning "]
