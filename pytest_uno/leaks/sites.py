"""Where something was created: recorded in a moment, read as text only when there is something to report.

A site is recorded for every task, so it has to cost little: no text, no line numbers, not even tuples, only
a flat list of code objects and instruction offsets of up to three of the user's frames. (A frame computes
its line from a table each time it is asked; its instruction offset is just there.) Whose a frame is depends
on its file alone, and is remembered by file name: hashing a code object walks all of it.

The walk ends where the user's code ends: at the event loop's `Handle._run` and at pytest's own frames. What
lies below is how the test is run, the same for each.
"""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest_uno
from pytest_uno.leaks.model import Frame

__all__ = ["USER", "Site", "Sites"]

Site: TypeAlias = list[Any]
"""Code objects and instruction offsets in turn, the innermost frame first; to be resolved by
`Sites.resolve`."""

_LIBRARY, USER, _END = 0, 1, 2
"""Whose code a file holds: a library's, the user's, or that of what runs the user's code."""

_ENDS = "/asyncio/events.py"
"""The file of `Handle._run`."""

_RUNNERS = ("/_pytest/", "/pluggy/", "/pytest_asyncio/")
_INSTALLED = ("/site-packages/", "/dist-packages/")

_DEPTH = 3
"""How many frames a report shows: where it was created, and the two callers that most often tell why."""

_LENGTH = 2 * _DEPTH
"""Of a full site."""

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


class Sites:
    """Records sites and turns them into frames.

    Args:
        root: the folder that the user's files are named relative to.

    Attributes:
        kinds: whose code a file holds, for the files that were met, by the file name of their code objects; to be read
            only, where a call for each task would cost too much.
    """

    def __init__(self, root: Path) -> None:
        # A plain dictionary: the interpreter has a faster way to look into exactly those.
        self.kinds: dict[str, int] = {}
        paths = {sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")}
        paths |= {os.path.dirname(os.__file__), os.path.dirname(pytest_uno.__file__)}
        paths |= {os.path.realpath(path) for path in paths}
        self._ours = _posix(os.path.dirname(pytest_uno.__file__)) + "/"
        self._libraries = tuple(_posix(path) + "/" for path in paths)
        self._roots = tuple(
            {_posix(str(root)).rstrip("/") + "/", _posix(os.path.realpath(root)).rstrip("/") + "/"}
        )

    def capture(self, start: types.FrameType | None = None) -> Site:
        """Record up to three of the user's frames, or none.

        Args:
            start: where to begin, outwards; the caller's caller if None.
        """
        kinds = self.kinds
        site: Site = []
        frame: types.FrameType | None = start or _getframe(2)
        while frame is not None:
            code = frame.f_code
            try:
                kind = kinds[code.co_filename]
            except KeyError:
                kind = self._kind_of(code.co_filename)
            if kind:
                if kind == _END:
                    return site
                site += (code, frame.f_lasti)
                if len(site) == _LENGTH:
                    return site
            frame = frame.f_back
        return self._capture_behind_greenlet(site)

    def capture_innermost(self, frame: types.FrameType | None) -> Site:
        """Record the innermost of the user's frames, or none, for what is made too often for three.

        Args:
            frame: where to begin, outwards.
        """
        kinds = self.kinds
        while frame is not None:
            code = frame.f_code
            kind = kinds.get(code.co_filename)
            if kind is None:
                kind = self._kind_of(code.co_filename)
            if kind:
                return [] if kind == _END else [code, frame.f_lasti]
            frame = frame.f_back
        return self._capture_behind_greenlet([])[:2]

    def capture_library(self) -> Site:
        """Record the innermost frame that is not ours, for code that no frame of the user's has called."""
        frame = _getframe(1)
        while _posix(frame.f_code.co_filename).startswith(self._ours) and frame.f_back is not None:
            frame = frame.f_back
        return [frame.f_code, frame.f_lasti]

    def is_user(self, file: str) -> bool:
        """Say whether a file is the user's own.

        Args:
            file: the file name of a code object.
        """
        return self._kind_of(file) == USER

    def resolve(self, site: Site) -> tuple[Frame, ...]:
        """Turn a site into frames.

        Args:
            site: what was recorded.
        """
        return tuple(
            self.frame(code.co_filename, _line_at(code, lasti), code.co_qualname)
            for code, lasti in zip(site[::2], site[1::2], strict=True)
        )

    def select(self, lines: Iterable[tuple[types.CodeType, int]]) -> tuple[Frame, ...]:
        """Turn code objects and lines into frames: those of the user, or else the first of a library.

        Args:
            lines: code objects and lines, the innermost first.
        """
        lines = list(lines)
        users = [pair for pair in lines if self.is_user(pair[0].co_filename)][:_DEPTH]
        return tuple(
            self.frame(code.co_filename, line, code.co_qualname) for code, line in users or lines[:1]
        )

    def from_traceback(self, exc: BaseException | None) -> tuple[Frame, ...]:
        """Turn the traceback of an exception into frames, the one that raised first.

        Args:
            exc: the exception; one that was not raised yields no frames.
        """
        lines: list[tuple[types.CodeType, int]] = []
        step = None if exc is None else exc.__traceback__
        while step is not None:
            lines.append((step.tb_frame.f_code, step.tb_lineno))
            step = step.tb_next
        return self.select(reversed(lines))

    def definition(self, code: types.CodeType) -> tuple[Frame, ...]:
        """Return the place where a function is defined, for what has left no other trace.

        Args:
            code: the function's code.
        """
        return (self.frame(code.co_filename, code.co_firstlineno, code.co_qualname),)

    def path_of(self, file: str) -> str:
        """Return where a file is that a frame or an owner names.

        Args:
            file: the name, relative to the root for the user's own.
        """
        return os.path.join(self._roots[0], file)

    def frame(self, file: str, line: int, function: str) -> Frame:
        """Make a frame, with the text of its line.

        Args:
            file: the file name as the interpreter gives it.
            line: the line, from 1.
            function: the function's name.
        """
        code = linecache.getline(file, line).strip()
        path = _posix(os.path.abspath(file)) if not file.startswith("<") else file
        if self.is_user(file):
            for root in self._roots:
                if path.startswith(root):
                    return Frame(path[len(root) :], max(line, 1), function, code, True)
        return Frame(file, max(line, 1), function, code, False)

    def _kind_of(self, file: str) -> int:
        kind = self.kinds.get(file)
        if kind is None:
            path = _posix(file)
            if path.endswith(_ENDS) or any(folder in path for folder in _RUNNERS):
                kind = _END
            elif path.endswith(".pyx"):
                kind = _LIBRARY  # Cython names its source relative to nowhere: in tracebacks only
            elif path.startswith("<"):
                # Frozen modules and `exec` are nobody's; the examples of a docstring are the user's.
                kind = USER if path.startswith("<doctest") else _LIBRARY
            elif any(folder in path for folder in _INSTALLED) or path.startswith(self._libraries):
                kind = _LIBRARY
            else:
                kind = USER
            self.kinds[file] = kind
        return kind

    def _capture_behind_greenlet(self, site: Site) -> Site:
        """Go on where a greenlet began: SQLAlchemy's asyncio extension runs its synchronous half in one."""
        greenlet = sys.modules.get("greenlet")
        current: Any = None if greenlet is None else greenlet.getcurrent().parent
        while current is not None:
            frame = cast("types.FrameType | None", current.gr_frame)
            while frame is not None:
                kind = self._kind_of(frame.f_code.co_filename)
                if kind == _END or len(site) == _LENGTH:
                    return site
                if kind == USER:
                    site += (frame.f_code, frame.f_lasti)
                frame = frame.f_back
            current = current.parent
        return site


def _line_at(code: types.CodeType, offset: int) -> int:
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno


def _posix(path: str) -> str:
    return path.replace("\\", "/") if os.sep == "\\" else path
