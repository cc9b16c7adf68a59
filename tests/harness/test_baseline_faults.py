"""A baseline that cannot be read or written: one clear error, and nothing is overwritten."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("collected")

LEAKY = """
    @pytest.mark.uno_async
    async def test_it():
        asyncio.create_task(asyncio.Event().wait(), name="left")
        await asyncio.sleep(0)
"""
LEAKY_TWICE = LEAKY.rstrip(" ") + "        asyncio.get_running_loop().call_later(9, print)\n"
FILE = "--uno-leak-baseline=known.json"
WRITE = (FILE, "--uno-leak-baseline-write")


@pytest.fixture
def known(project: Any) -> Any:
    """A baseline with one leak, as data."""
    project.run(LEAKY, *WRITE)
    return json.loads(project.pytester.path.joinpath("known.json").read_text("utf-8"))


def refused(project: Any, result: pytest.RunResult, *expected: str) -> None:
    """Check that a run ended before its first test, with a message, and left no other file."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    output = result.stdout.str() + result.stderr.str()
    assert "INTERNALERROR" not in output
    assert "test_it.py" not in output
    result.stderr.fnmatch_lines([*(f"*{part}*" for part in expected), "*fix: *", "*docs: https://*"])
    assert leftovers(project) == []


def leftovers(project: Any) -> list[str]:
    return [path.name for path in project.pytester.path.rglob("*.part")]


BAD: dict[str, tuple[str, str]] = {
    "empty": ("", "is not JSON: Expecting value, in line 1, column 1"),
    "cut": ('{"format": 1,', "is not JSON: *, in line 1, column 14"),
    "conflict": ("{\n<<<<<<< HEAD\n=======\n>>>>>>> other\n}\n", "has conflict markers of a merge in it"),
    "newer": (
        '{"format": 2, "tool": {"name": "pytest-uno", "version": "9"}, "leaks": []}',
        "has format 2, written by pytest-uno 9",
    ),
    "other tool": ('{"format": 1, "tool": {"name": "coverage"}}', "is no baseline"),
    "damaged": ('{"format": 1, "tool": {"name": "pytest-uno"}, "leaks": [1]}', "is damaged: leak 1 "),
}


@pytest.mark.parametrize("flags", [(FILE,), WRITE], ids=["read", "write"])
@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_baseline(project: Any, kind: str, flags: tuple[str, ...]) -> None:
    text, expected = BAD[kind]
    path = project.pytester.path / "known.json"
    path.write_text(text, encoding="utf-8")
    result = project.run(LEAKY, *flags)
    refused(project, result, expected)
    assert path.read_text("utf-8") == text


def test_no_worker_begins_with_a_file_that_is_no_baseline(project: Any) -> None:
    project.pytester.path.joinpath("known.json").write_text("", encoding="utf-8")
    result = project.run_apart(LEAKY, FILE, "-n2")
    refused(project, result, "is not JSON")
    assert "gw0" not in result.stdout.str()


@pytest.mark.parametrize("flags", [(FILE,), WRITE], ids=["read", "write"])
def test_a_file_in_another_encoding(project: Any, flags: tuple[str, ...]) -> None:
    path = project.pytester.path / "known.json"
    path.write_bytes('{"ä": 1}'.encode("latin-1"))
    refused(
        project, project.run(LEAKY, *flags), "cannot read the baseline *known.json: it is not text in UTF-8"
    )
    assert path.read_bytes() == '{"ä": 1}'.encode("latin-1")


def test_a_file_that_is_not_there(project: Any) -> None:
    result = project.run(LEAKY, FILE)
    refused(project, result, "cannot read the baseline *known.json: there is no such file")
    assert (
        "fix: write it: pytest --uno-leak-baseline=known.json --uno-leak-baseline-write"
        in result.stderr.str()
    )


@pytest.mark.parametrize("flags", [(FILE,), WRITE], ids=["read", "write"])
def test_a_folder(project: Any, flags: tuple[str, ...]) -> None:
    project.pytester.mkdir("known.json")
    refused(project, project.run(LEAKY, *flags), "cannot read the baseline *known.json: it is a folder")


@pytest.mark.parametrize("flags", [(), ("--uno-leak-baseline-write",)], ids=["read", "write"])
def test_a_path_below_a_file(project: Any, flags: tuple[str, ...]) -> None:
    project.file("file", "")
    result = project.run(LEAKY, "--uno-leak-baseline=file/known.json", *flags)
    refused(project, result, "the baseline *known.json: ")


def test_a_folder_that_takes_no_files(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_file(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "known" in path.name and mode in ("ab", "xb"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, mode, *args, **kwargs)

    real = Path.open
    monkeypatch.setattr(Path, "open", open_file)
    refused(project, project.run(LEAKY, *WRITE), "cannot write the baseline *known.json: Permission denied")


def test_nothing_to_write_to(project: Any) -> None:
    result = project.run(LEAKY, "--uno-leak-baseline-write")
    refused(project, result, "--uno-leak-baseline-write: no baseline to write")
    refused(project, project.run(LEAKY, "--uno-leak-baseline="), "--uno-leak-baseline: no file is named")


def test_the_baseline_of_another_project(project: Any, known: Any) -> None:
    path = project.pytester.path / "known.json"

    def run(source: str = LEAKY, **changes: Any) -> pytest.RunResult:
        path.write_text(json.dumps({**known, **changes}), encoding="utf-8")
        return project.run(source, *WRITE)  # type: ignore[no-any-return]

    frames = known["leaks"][0]["created"]
    moved = [{**known["leaks"][0], "created": [{**frame, "file": "gone.py"} for frame in frames]}]
    library = [{**moved[0], "created": [{**frames[0], "file": "feed/core.py", "in_app": False}]}]
    for project_name in ("other", "", None):
        text = path.read_text("utf-8")
        result = run(leaks=moved, project=project_name)
        refused(project, result, "belongs to another project: none of its files is below")
        assert json.loads(path.read_text("utf-8"))["leaks"] == moved, text
    for fine in (
        {"leaks": moved},  # its folder is called so
        {"project": "other"},  # its file is here
        {"leaks": library, "project": "other"},
        {"leaks": [], "project": "other"},
    ):
        assert run(**fine).ret == 0, fine


@pytest.mark.parametrize("fails_by_itself", [False, True])
@pytest.mark.parametrize("kind", ["full", "replace"])
def test_a_disk_that_is_full_in_the_end(
    project: Any, known: Any, monkeypatch: pytest.MonkeyPatch, kind: str, fails_by_itself: bool
) -> None:
    path = project.pytester.path / "known.json"
    before = path.read_bytes()

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def close(self) -> None:
            self.file.close()

        def write(self, data: bytes) -> None:
            self.file.write(data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def open_file(path: Path, *args: Any, **kwargs: Any) -> Any:
        file = real_open(path, *args, **kwargs)
        return Full(file) if path.name.startswith(".known") else file

    def replace(path: Path, target: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))

    real_open = Path.open
    if kind == "full":
        monkeypatch.setattr(Path, "open", open_file)
    else:
        monkeypatch.setattr(Path, "replace", replace)
    more = "\n    def test_more(): assert False" if fails_by_itself else ""
    source = LEAKY_TWICE + more
    result = project.run(source, *WRITE)
    assert project.outcomes(result) == ({"passed": 1, "failed": 1} if fails_by_itself else {"passed": 1})
    assert result.ret == (pytest.ExitCode.TESTS_FAILED if fails_by_itself else pytest.ExitCode.USAGE_ERROR)
    why = "No space left on device" if kind == "full" else "Permission denied"
    result.stdout.fnmatch_lines(
        [f"*cannot write the baseline *known.json: {why}*", "*fix: *", "*#bad-baseline*"]
    )
    assert path.read_bytes() == before
    assert leftovers(project) == []


def test_a_link_stays_a_link_and_a_file_keeps_its_mode(project: Any, known: Any) -> None:
    path, target = project.pytester.path / "known.json", project.pytester.path / "target.json"
    path.rename(target)
    target.chmod(0o640)
    path.symlink_to(target)
    project.run(LEAKY_TWICE, *WRITE)
    assert path.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    assert len(json.loads(target.read_text("utf-8"))["leaks"]) == 2


def test_a_run_without_any_test_makes_no_baseline(project: Any) -> None:
    result = project.run("", *WRITE)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result = project.run(LEAKY, *WRITE, "--collect-only")
    assert result.ret == 0
    assert not project.pytester.path.joinpath("known.json").exists()
