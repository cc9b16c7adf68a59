"""What the loop's thread is doing, seen from another thread.

A look costs a walk over the frames of one stack. What it keeps of them is text and numbers, but for one frame: that of
the callback's handle. While it is held no other callback can have the same, so that two looks tell whether they have
seen one callback or two.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pytest_uno.core.thread_frames import current_frames
from pytest_uno.leaks.asyncio_internals import RUN_HANDLE, RUN_ONCE

__all__ = ["Line", "Look", "find_common_lines", "look_at"]

Line = tuple[types.CodeType, int]
"""A code object and a line in it."""

_DEBUGGERS = frozenset({"IPython", "_pydevd_bundle", "bdb", "debugpy", "ipdb", "pdb", "pudb", "pydevd"})
"""Packages in which a thread waits for somebody who looks at a stopped program."""

_IMPORT = "<frozen importlib"


class Look(NamedTuple):
    """A callback that was seen at work.

    Attributes:
        handle: the frame of the handle that runs the callback; to be let go of when the loop goes on.
        lines: the user's lines that were running, the innermost first.
        position: where the innermost frame stood.
        counts: the callback is to blame for the time it takes: it runs the user's code, and no import, start of a
            thread or debugger.
    """

    handle: types.FrameType
    lines: tuple[Line, ...]
    position: tuple[types.CodeType, int]
    counts: bool


def look_at(thread: int, is_user: Callable[[str], bool]) -> Look | None:
    """Look at what a thread does; None if it runs no callback of a loop.

    Must be called in another thread.

    Args:
        thread: the identifier of the thread.
        is_user: says whether a file is the user's own.
    """
    # Without a name for the dictionary: the frame of this call is in it, and such a cycle would live until the
    # collector runs, with everything that any thread has in its variables.
    frame = current_frames().get(thread)
    if frame is None:
        return None
    position = (frame.f_code, frame.f_lasti)
    lines: list[Line] = []
    is_excused = False
    while frame is not None:
        code = frame.f_code
        if code is RUN_HANDLE:
            return Look(frame, tuple(lines), position, bool(lines) and not is_excused)
        if code is RUN_ONCE:
            return None
        is_excused = is_excused or _excuses(code, frame.f_globals.get("__name__") or "")
        if is_user(code.co_filename):
            lines.append((code, frame.f_lineno))
        frame = frame.f_back
    return None


def find_common_lines(stacks: Sequence[tuple[Line, ...]]) -> tuple[Line, ...]:
    """Return the lines that were running in each of several looks at one callback, the innermost first.

    A computation is seen at another line each time. What called it is the same in each look and in each run of the
    tests; where even that differs, the function that it all happened in is named by its first line.

    Args:
        stacks: the lines of each look, the innermost first.
    """
    common: list[Line] = []
    for level in zip(*map(reversed, stacks), strict=False):
        if any(line != level[0] for line in level):
            break
        common.append(level[0])
    if not common:
        outermost = stacks[0][-1][0]
        common.append((outermost, outermost.co_firstlineno))
    return tuple(reversed(common))


def _excuses(code: types.CodeType, module: str) -> bool:
    # These wait until the system has let the new thread or process run, which it may have no processor for.
    if module == "threading":
        return code.co_name == "start"
    if module == "subprocess":
        return code.co_name == "_execute_child"
    if module == "pytest_uno.explore.search":
        return True  # the loops of the schedules run meanwhile, and are looked at themselves
    return code.co_filename.startswith(_IMPORT) or module.partition(".")[0] in _DEBUGGERS
