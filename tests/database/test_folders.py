from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from pytest_uno.database.templates.folders import make_folder

_MODULE = "pytest_uno.database.templates.folders"


@pytest.fixture
def shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for memory; there is another for the disk."""
    memory, disk = tmp_path / "memory", tmp_path / "disk"
    memory.mkdir()
    disk.mkdir()
    monkeypatch.setattr(f"{_MODULE}._SHARED_MEMORY", memory)
    monkeypatch.setattr(f"{_MODULE}._ROOM", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    return memory


def test_it_is_made_in_memory(shared_memory: Path) -> None:
    folder = make_folder("run", "gw0")
    assert folder.is_dir()
    assert folder.parent == shared_memory
    assert folder.name.startswith(f"pytest-uno-run-gw0-{os.getpid()}-")
    assert make_folder("run", "gw0") != folder


def test_it_is_made_on_the_disk_where_memory_is_scarce(
    shared_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{_MODULE}._ROOM", 1 << 80)
    assert make_folder("run", "main").parent == shared_memory.parent / "disk"


def test_it_is_made_on_the_disk_where_there_is_no_file_system_in_memory(shared_memory: Path) -> None:
    shared_memory.rmdir()
    assert make_folder("run", "main").parent == shared_memory.parent / "disk"


def test_what_a_killed_process_left_is_removed(shared_memory: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    left = shared_memory / f"pytest-uno-old-main-{ended.pid}-abc"
    (left / "inside").mkdir(parents=True)
    of_somebody_else = shared_memory / "pytest-uno-notes"
    of_somebody_else.mkdir()
    own = make_folder("run", "main")
    make_folder("run", "main")
    assert not left.exists()
    assert of_somebody_else.exists()
    assert own.exists()


def test_the_folder_of_a_process_of_another_user_stays(
    shared_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = shared_memory / "pytest-uno-run-main-17-abc"
    used.mkdir()

    def refuse(process: int, signal: int) -> Any:
        raise PermissionError(process, signal)

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", refuse)
        make_folder("run", "main")
    assert used.exists()


class Kernel:
    """What Windows knows of processes: their exit codes, or the error for the one who asks."""

    def __init__(self, codes: dict[int, int], errors: dict[int, int]) -> None:
        self.codes = codes
        self.errors = errors
        self.error = 0
        self.open: list[int] = []

        class OpenProcess:
            restype: Any = None

            def __call__(_, access: int, inherit: bool, process: int) -> int | None:  # noqa: N805
                if process in codes:
                    self.open.append(process)
                    return process
                self.error = errors.get(process, 87)
                return None

        self.OpenProcess = OpenProcess()

    def GetExitCodeProcess(self, handle: Any, code: Any) -> int:  # noqa: N802
        code._obj.value = self.codes[handle.value]
        return int(self.codes[handle.value] != 0xBAD)

    def CloseHandle(self, handle: Any) -> None:  # noqa: N802
        self.open.remove(handle.value)


def test_windows_is_asked_in_its_own_way(shared_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel({11: 259, 12: 0, 13: 0xBAD}, {14: 5})
    monkeypatch.setattr(f"{_MODULE}._IS_WINDOWS", True)
    monkeypatch.setattr(ctypes, "WinDLL", lambda name, use_last_error: kernel, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: kernel.error, raising=False)

    def kill(process: int, signal: int) -> None:
        raise AssertionError("this ends a process on Windows")

    monkeypatch.setattr(os, "kill", kill)
    for process in range(11, 17):
        (shared_memory / f"pytest-uno-run-main-{process}-abc").mkdir()
    own = make_folder("run", "main")
    left = {folder.name.split("-")[4] for folder in shared_memory.iterdir() if folder != own}
    assert left == {"11", "13", "14"}  # it runs; nobody knows; it is another user's
    assert kernel.open == []
