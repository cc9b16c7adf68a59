"""Folders for the files of one process of a run, in memory where the system has a file system there."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

__all__ = ["make_folder"]

_SHARED_MEMORY = Path("/dev/shm")
_ROOM = 256 * 1024 * 1024
"""Bytes that have to be free there: containers often have a few megabytes only."""

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
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
