"""What each thread runs just now."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType

__all__ = ["current_frames"]

# python/cpython#106883: the list of threads is locked while frame objects are made for it. A collection of garbage that
# this sets off may wait for another thread, which waits for that lock: the process stands still for ever.
_MAY_DEADLOCK = sys.version_info < (3, 11, 8) or (3, 12) <= sys.version_info < (3, 12, 2)

_ask: Callable[[], dict[int, FrameType]] = sys._current_frames  # pyright: ignore[reportPrivateUsage]  (documented)


def _ask_without_collection() -> dict[int, FrameType]:
    # Not by `collections_paused`, whose own frames would be seen, too.
    if not gc.isenabled():
        return _ask()
    gc.disable()
    try:
        return _ask()
    finally:
        gc.enable()


current_frames: Callable[[], dict[int, FrameType]] = _ask_without_collection if _MAY_DEADLOCK else _ask
"""Returns the innermost frame of each thread, by the thread's identifier; may be called in any thread."""
