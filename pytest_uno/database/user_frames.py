"""The line of the user's code that a call into SQLAlchemy came from.

SQLAlchemy runs its synchronous half in a greenlet, whose stack ends before the user's code begins: the search goes on
in the greenlet that waits for it. A site is recorded for each statement, so it has to cost little: a code object and an
instruction offset. The text is made when somebody asks for it.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TypeAlias

from pytest_uno.database.callers import calling_site
from pytest_uno.leaks.model import Frame
from pytest_uno.leaks.sites import Site, Sites

__all__ = ["Site", "UserFrames"]

_Resolved: TypeAlias = "dict[tuple[object, int], Frame]"

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


@functools.lru_cache(maxsize=4)
def _sites_below(root: Path) -> Sites:
    """Return what tells the user's files from others: it costs as much as a test, and learns from each."""
    return Sites(root)


class UserFrames:
    """Records where calls come from.

    Args:
        root: the folder that the user's files are named relative to; the current one if None.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._sites = _sites_below(root or Path.cwd())
        self._resolved: _Resolved = {}

    def capture(self) -> Site:
        """Record the innermost of the user's frames, or none."""
        return self._sites.capture_innermost(_getframe(1)) or calling_site() or []

    def resolve(self, site: Site) -> Frame | None:
        """Turn what was recorded into a frame; None if nothing was.

        Args:
            site: what `capture` returned.
        """
        if not site:
            return None
        key = (site[0], site[1])
        frame = self._resolved.get(key)
        if frame is None:
            frame = self._resolved[key] = self._sites.resolve(site)[0]
        return frame
