"""Places in the user's code, as text."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable
from pathlib import Path

from pytest_uno.leaks.model import Frame
from pytest_uno.leaks.sites import Sites

__all__ = ["describe_place", "is_of_library", "place_of"]


@functools.lru_cache(maxsize=4)
def _sites_below(root: Path) -> Sites:
    return Sites(root)


def place_of(lines: Iterable[tuple[types.CodeType, int]]) -> Frame | None:
    """Return the innermost line of the user's, or else of a library; None if there is no line at all.

    Args:
        lines: code objects and lines, the innermost first.
    """
    frames = _sites_below(Path.cwd()).select(lines)
    return frames[0] if frames else None


def describe_place(lines: Iterable[tuple[types.CodeType, int]]) -> str:
    """Return ` at FILE:LINE in FUNCTION: SOURCE`, or nothing.

    Args:
        lines: code objects and lines, the innermost first.
    """
    frame = place_of(lines)
    if frame is None:
        return ""
    return f" at {frame.file}:{frame.line} in {frame.function}" + (f": {frame.code}" if frame.code else "")


def is_of_library(code: types.CodeType) -> bool:
    """Say whether code is not the user's own.

    Args:
        code: the code.
    """
    return not _sites_below(Path.cwd()).is_user(code.co_filename)
