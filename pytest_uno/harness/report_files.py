"""Files that a run writes at its end: seen to be writable at its beginning, and written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["append_text", "check_writable", "write_whole"]


def check_writable(path: Path) -> None:
    """See whether a file can be written, and make its folder.

    Args:
        path: the file; what it holds stays as it is.

    Raises:
        OSError: it cannot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    existed = path.exists()
    with path.open("ab"):
        pass
    if not existed:
        path.unlink()
    if _is_replaceable(path):
        _part_of(path).open("xb").close()
        _part_of(path).unlink()


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody sees half of it, and what it held before stays if anything goes wrong.

    Args:
        path: the file.
        text: what it is to hold. What UTF-8 has no form for, as half of a surrogate pair, is written as an escape.

    Raises:
        OSError: it cannot be written.
    """
    data = text.encode("utf-8", "backslashreplace")
    if not _is_replaceable(path):
        path.write_bytes(data)
        return
    target, part = path.resolve(), _part_of(path)
    try:
        with part.open("xb") as file:
            file.write(data)
        with contextlib.suppress(OSError):  # a file that is not there yet has no permissions to keep
            part.chmod(target.stat().st_mode)
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def append_text(path: Path, text: str) -> None:
    """Add to a file that others write too.

    Args:
        path: the file.
        text: what is added.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("ab") as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def _is_replaceable(path: Path) -> bool:
    """Say whether another file may take its place; a pipe or a terminal must be written to itself."""
    return path.is_file() or not path.exists()


def _part_of(path: Path) -> Path:
    target = path.resolve()
    return target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
