from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from pytest_uno.harness.report_files import append_text, check_writable, write_whole


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "leaks.json"
    check_writable(path)
    assert list(path.parent.iterdir()) == []
    path.write_text("older", encoding="utf-8")
    check_writable(path)
    assert path.read_text("utf-8") == "older"
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_file_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "leaks.json"
    path.touch()
    check_writable(path)
    assert path.exists()


@pytest.mark.parametrize("name", ["folder", "file/leaks.json"])
def test_what_cannot_be_written_is_seen(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        check_writable(tmp_path / name)


def test_a_folder_that_takes_no_new_files_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the folder's refusal is played."""
    path = tmp_path / "leaks.json"
    path.touch()
    open_file = Path.open

    def refuse(self: Path, mode: str = "r", *args: object, **options: object) -> object:
        if "x" in mode:
            raise PermissionError(13, "Permission denied")
        return open_file(self, mode, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError):
        check_writable(path)


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "leaks.json"
    write_whole(path, "one\r\ntwo \ud800\n")
    assert path.read_bytes() == b"one\r\ntwo \\ud800\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_permissions_and_links_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "leaks.json", tmp_path / "link.json"
    path.write_text("older", encoding="utf-8")
    path.chmod(0o640)
    link.symlink_to(path)
    write_whole(link, "newer")
    assert link.is_symlink()
    assert path.read_text("utf-8") == "newer"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="a device of POSIX")
def test_a_device_is_written_to_itself(tmp_path: Path) -> None:
    check_writable(Path("/dev/null"))
    write_whole(Path("/dev/null"), "gone")
    assert not Path("/dev/null").is_file()
    with pytest.raises(OSError):
        write_whole(Path("/dev/full"), "too much")


def test_what_is_appended_stays_beside_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    append_text(path, "one\n")
    append_text(path, "two\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_failure_in_between_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "leaks.json"
    write_whole(path, "older")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "newer")
    assert path.read_text("utf-8") == "older"
    assert list(tmp_path.iterdir()) == [path]
