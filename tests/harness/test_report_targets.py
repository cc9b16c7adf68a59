"""Which reports are made, and where they go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_uno.harness.report_targets import ReportTarget, find_ci_targets, find_folder

LEAKY = """
async def poll():
    await asyncio.Event().wait()

@pytest.mark.uno_async
async def test_leaks():
    asyncio.create_task(poll(), name="poller")
    await asyncio.sleep(0)
"""
CLEAN = """
@pytest.mark.uno_async
async def test_clean(): ...
"""


def all_output(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("spec", "message", "fix"),
    [
        ("jsn", "unknown report format 'jsn' in 'jsn'", "did you mean 'json'? use FORMAT[:PATH]"),
        ("htlm:x.html", "unknown report format 'htlm' in 'htlm:x.html'", "did you mean 'html'?"),
        ("", "unknown report format ''", "where FORMAT is one of terminal, json, html"),
        ("json:", "'json:' names no file", "write json alone, or json:PATH"),
    ],
)
def test_a_wrong_report_is_a_usage_error(project: Any, spec: str, message: str, fix: str) -> None:
    result = project.run("def test_it(): ...", f"--uno-report={spec}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"--uno-report: {message}" in all_output(result)
    assert fix in all_output(result)
    project.ini(f"uno_report =\n    json\n    {spec or 'x'}")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ini option uno_report: " in all_output(result)


def test_two_reports_cannot_have_one_file(project: Any) -> None:
    result = project.run("def test_it(): ...", "--uno-report=json:x", "--uno-report=html:x")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "json and html are both written to" in all_output(result)


def test_each_format_has_its_default_file(project: Any) -> None:
    formats = ("json", "html", "sarif", "gitlab", "markdown")
    result = project.run(LEAKY, *(f"--uno-report={name}" for name in formats))
    assert project.outcomes(result) == {"failed": 1}
    for name in ("leaks.json", "leaks.html", "leaks.sarif", "gl-code-quality.json", "leaks.md"):
        assert "UNO101" in project.pytester.path.joinpath(name).read_text("utf-8"), name
    (wrote,) = project.lines_with(result, "wrote json ")
    assert wrote.count(str(project.pytester.path)) == len(formats)


def test_what_is_asked_for_twice_is_made_once(project: Any) -> None:
    result = project.run(LEAKY, "--uno-report=json", "--uno-report=json:leaks.json")
    (wrote,) = project.lines_with(result, "wrote ")
    assert wrote.count("leaks.json") == 1


def test_paths_of_the_ini_file_lie_in_its_folder(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project.ini("uno_report =\n    json:out/leaks.json")
    project.file("test_it.py", LEAKY)
    folder = project.pytester.mkdir("below")
    monkeypatch.chdir(folder)
    project.run(None, "..")
    assert (project.pytester.path / "out/leaks.json").exists()
    project.run(None, "..", "--uno-report=markdown:leaks.md")
    assert (folder / "leaks.md").exists()
    assert not (folder / "leaks.json").exists()


def test_the_terminal_may_be_written_to_a_file(project: Any) -> None:
    project.run(LEAKY, "--uno-report=terminal:leaks.txt")
    lines = project.pytester.path.joinpath("leaks.txt").read_text("utf-8").splitlines()
    assert lines[0] == "UNO101 pending-task: task 'poller' running poll()"
    assert "1 distinct leak, seen in 1 of 1 test" in lines


def test_a_clean_run_is_silent_unless_asked(project: Any) -> None:
    result = project.run(CLEAN)
    assert "leak" not in result.stdout.str()
    for option in ("-v", "--uno-report=terminal"):
        result = project.run(CLEAN, option)
        assert "leaks: none in 1 test" in result.outlines


def test_collecting_alone_leaves_an_older_report_alone(project: Any) -> None:
    project.run(LEAKY, "--uno-report=json")
    before = project.pytester.path.joinpath("leaks.json").read_bytes()
    project.run(LEAKY, "--uno-report=json", "--collect-only")
    assert project.pytester.path.joinpath("leaks.json").read_bytes() == before


def test_a_full_disk_keeps_the_older_report(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project.pytester.path / "leaks.json"
    project.run(LEAKY, "--uno-report=json")
    before = path.read_bytes()
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target == path:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    result = project.run(CLEAN, "--uno-report=json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert project.outcomes(result) == {"passed": 1}
    assert f"cannot write the leak report {path}: No space left on device" in result.stdout.str()
    assert path.read_bytes() == before
    assert {file.name for file in project.pytester.path.iterdir() if "leaks" in file.name} == {"leaks.json"}


def test_colours_are_those_of_failures(project: Any) -> None:
    result = project.run(LEAKY, "--color=yes")
    (line,) = project.lines_with(result, "UNO101 test_it.py:9", "poller")
    assert line.startswith("\x1b[31mUNO101")
    result = project.run(LEAKY, "--color=yes", "--uno-leaks=warn")
    (line,) = project.lines_with(result, "UNO101 test_it.py", " (a warning)")
    assert line.startswith("\x1b[33mUNO101")


def test_github_is_asked_only_where_a_job_runs() -> None:
    summary = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "summary.md"}
    assert find_ci_targets({}) == ()
    assert find_ci_targets({**summary, "GITHUB_ACTIONS": "false"}) == ()
    assert find_ci_targets({**summary, "PYTEST_CURRENT_TEST": "test_x.py::test_x (call)"}) == ()
    assert find_ci_targets({"GITHUB_ACTIONS": "true"}) == (ReportTarget("github", None),)
    assert find_ci_targets(summary) == (
        ReportTarget("github", None),
        ReportTarget("markdown", Path("summary.md"), appends=True),
    )


def test_the_root_may_be_a_folder_of_the_repository(tmp_path: Path) -> None:
    root = tmp_path / "services" / "shop"
    root.mkdir(parents=True)
    (tmp_path / ".git").touch()  # a file in a worktree
    assert find_folder(root) == "services/shop"
    assert find_folder(tmp_path) == ""
    (root / ".git").mkdir()
    assert find_folder(root) == ""
    assert find_folder(Path(tmp_path.anchor)) == ""
