"""Folders for the files of one process of a run, in memory where the system has a file system there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["make_folder"]

_SHARED_MEMORY = Path("/dev/shm")
_ROOM = 256 * 1024 * 1024
"""Bytes that have to be free there: containers often have a few megabytes only."""

_IS_WINDOWS = os.name == "nt"
_MAY_BE_ASKED = 0x1000
"""PROCESS_QUERY_LIMITED_INFORMATION of Windows."""
_ACCESS_DENIED = 5
_STILL_ACTIVE = 259

_NAME = re.compile(r"pytest-uno-\w+-\w+-(\d+)-\w+")


def make_folder(run_id: str, worker: str) -> Path:
    """Make a folder that only this process uses, and remove those of processes that were killed.

    Args:
        run_id: the run.
        worker: the process's name in the run.
    """
    base = Path(tempfile.gettempdir())
    with contextlib.suppress(OSError):
        if os.access(_SHARED_MEMORY, os.W_OK) and shutil.disk_usage(_SHARED_MEMORY).free >= _ROOM:
            base = _SHARED_MEMORY
    _remove_leftovers(base)
    return Path(tempfile.mkdtemp(prefix=f"pytest-uno-{run_id}-{worker}-{os.getpid()}-", dir=base))


def _remove_leftovers(base: Path) -> None:
    for folder in base.glob("pytest-uno-*"):
        name = _NAME.fullmatch(folder.name)
        if name is not None and not _is_running(int(name[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: int) -> bool:
    if _IS_WINDOWS:
        return _is_running_on_windows(process)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _is_running_on_windows(process: int) -> bool:
    """Ask the system; `os.kill(process, 0)` would end the process there."""
    windows: Any = ctypes  # for a type checker on another system these names are not there
    kernel = windows.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = kernel.OpenProcess(_MAY_BE_ASKED, False, process)
    if not handle:
        is_forbidden: bool = windows.get_last_error() == _ACCESS_DENIED
        return is_forbidden  # it is another user's; any other error means that there is none
    try:
        code = ctypes.c_ulong()
        is_known = kernel.GetExitCodeProcess(ctypes.c_void_p(handle), ctypes.byref(code))
        return not is_known or code.value == _STILL_ACTIVE
    finally:
        kernel.CloseHandle(ctypes.c_void_p(handle))
