"""Walk one task: from its coroutine down to what it waits for.

A suspended task is a chain of objects. Each names the next one: a coroutine through `cr_await`, a generator
through `gi_yieldfrom`, an async generator through `ag_await`. Between them stand small C objects that name
nothing (`async for` puts an `async_generator_asend` before its generator, `__await__` of a coroutine a
`coroutine_wrapper`); the garbage collector's view, `gc.get_referents`, sees through those.

Rules for everything here, because a watchdog calls it from another thread while the loop runs on:

* Nothing raises. A chain that changes under the walk yields what was seen of it.
* No code of the user runs: types are asked, not instances, so that a mock or a `__getattr__` cannot join in.
* No frame is kept, and `f_locals` is never read: until CPython 3.12 it pins the locals to the frame.
"""

from __future__ import annotations

import gc
import os
import types
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    import asyncio

from pytest_uno.core import thread_frames
from pytest_uno.core.thread_frames import current_frames

__all__ = ["Link", "await_links", "is_running", "running_frames", "waiting_frames"]

_LIMIT = 500
"""Longest chain that is followed: beyond lies runaway recursion, or a chain that changed under the walk."""

_STEPS = (("cr_frame", "cr_await"), ("ag_frame", "ag_await"), ("gi_frame", "gi_yieldfrom"))
"""Where each kind of awaitable has its frame and the next object; Cython's coroutines use the same names."""

_TRANSPARENT = frozenset(
    {"async_generator_asend", "async_generator_athrow", "anext_awaitable", "coroutine_wrapper"}
)
"""C types between two links that have no attribute for the next one (3.11 to 3.15)."""

_OWN_FOLDERS = frozenset({os.path.dirname(__file__), os.path.dirname(thread_frames.__file__)})


class Link(NamedTuple):
    """One step of a chain.

    Attributes:
        awaitable: the coroutine, generator or async generator; None for a step of a greenlet.
        code: its code.
        line: where it stands, as a line number.
    """

    awaitable: object
    code: types.CodeType
    line: int


def waiting_frames(task: asyncio.Task[Any]) -> list[tuple[types.CodeType, int]]:
    """Say where a task stands: the frames of a suspended task, from the innermost await outwards.

    A running task yields the frames of its thread, down to the task's coroutine. A finished one yields none.

    May be called from any thread. Never raises, and keeps neither frames nor locals alive.

    Args:
        task: the task; a task type of another library may do, and else yields an empty list.
    """
    try:
        coroutine = task.get_coro()
        if is_running(coroutine):
            return running_frames(coroutine)[0]
        return [(link.code, link.line) for link in reversed(await_links(coroutine))]
    except Exception:  # a foreign task type, or a chain that changed under the walk
        return []


def is_running(awaitable: object) -> bool:
    """Say whether a coroutine runs just now, in whatever thread.

    Args:
        awaitable: the coroutine of a task.
    """
    return bool(_ask(awaitable, "cr_running") or _ask(awaitable, "gi_running"))


def await_links(awaitable: object) -> list[Link]:
    """Follow a chain from a task's coroutine down to the innermost await.

    Args:
        awaitable: where to begin.

    Returns:
        The links, the outermost first. The synchronous frames of a greenlet that awaits (SQLAlchemy's
        `greenlet_spawn`) stand where they are, between the coroutine that runs the greenlet and what the
        greenlet awaits.
    """
    links: list[Link] = []
    following = awaitable
    for _ in range(_LIMIT):
        current, following = following, None
        for frame_name, next_name in _STEPS:
            if hasattr(type(current), next_name):
                frame = cast("types.FrameType | None", _ask(current, frame_name))
                if frame is not None:
                    links.append(Link(current, frame.f_code, frame.f_lineno))
                    if frame.f_code.co_name == "greenlet_spawn":
                        links.extend(_greenlet_links(current))
                following = _ask(current, next_name)
                break
        else:
            if type(current).__name__ in _TRANSPARENT:
                following = _see_through(current)
        if following is None:
            break
    return links


def running_frames(coroutine: object) -> tuple[list[tuple[types.CodeType, int]], int | None]:
    """Find the frames of a coroutine that runs just now, from the innermost call outwards.

    Args:
        coroutine: the coroutine of a task.

    Returns:
        The frames down to the coroutine's own, and the identifier of the thread that runs them. When no
        thread has the coroutine on its stack (it stopped meanwhile), the coroutine's own frame alone, and
        None.
    """
    own = cast("types.FrameType | None", _ask(coroutine, "cr_frame"))
    if own is None:
        return [], None
    for thread, top in current_frames().items():
        stack: list[tuple[types.CodeType, int]] = []
        frame: types.FrameType | None = top
        while frame is not None:
            # Frames of this package lie on top when a task pictures itself.
            if stack or os.path.dirname(frame.f_code.co_filename) not in _OWN_FOLDERS:
                stack.append((frame.f_code, frame.f_lineno))
            if frame is own:
                return stack, thread
            frame = frame.f_back
    return [(own.f_code, own.f_lineno)], None


def _ask(owner: object, name: str) -> object:
    """Read an attribute that the type defines; None where it does not."""
    return getattr(owner, name) if hasattr(type(owner), name) else None


def _see_through(wrapper: object) -> object:
    """Return the awaitable inside of a C wrapper, or None."""
    for inner in cast("list[object]", gc.get_referents(wrapper)):
        if type(inner).__name__ in _TRANSPARENT or any(hasattr(type(inner), step) for _, step in _STEPS):
            return inner
    return None


def _greenlet_links(coroutine: object) -> list[Link]:
    """Return the synchronous frames of the greenlet that a `greenlet_spawn` runs, the outermost first."""
    links: list[Link] = []
    for referent in gc.get_referents(coroutine):
        frame = cast("types.FrameType | None", _ask(referent, "gr_frame"))
        while frame is not None and len(links) < _LIMIT:
            links.append(Link(None, frame.f_code, frame.f_lineno))
            frame = frame.f_back
    links.reverse()
    return links
