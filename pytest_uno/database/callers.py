"""Whose work SQLAlchemy does in a task of its own.

The end of `async with sessions.begin()`, of a session and of a connection runs in a task that SQLAlchemy makes for it,
so that a cancellation does not stop it half-way: the commit of `sessions.begin()`, and often its first statement, are
in there. To the user it is the task of the `async with`, on its line; so it is to the sandbox.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from pytest_uno.database.sqlalchemy_internals import BEGUN_SESSION

if TYPE_CHECKING:
    from pytest_uno.leaks.sites import Site

__all__ = ["calling_site", "calling_task", "follow_callers", "forget_callers"]

_Exit: TypeAlias = Callable[..., Awaitable[None]]

_CLASSES: tuple[type[Any], ...] = (BEGUN_SESSION, AsyncSession, AsyncConnection)


@dataclass(frozen=True, slots=True)
class _Caller:
    task: asyncio.Task[Any] | None
    site: Site


_caller: ContextVar[_Caller | None] = ContextVar("pytest_uno_caller", default=None)
_captures: list[Callable[[], Site]] = []
_originals: list[_Exit] = []


def calling_task() -> asyncio.Task[Any] | None:
    """Return the user's task: the current one, or the one that a task of SQLAlchemy's works for."""
    caller = _caller.get()
    if caller is not None:
        return caller.task
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def calling_site() -> Site | None:
    """Return the user's line that a task of SQLAlchemy's works for; None in any other task."""
    caller = _caller.get()
    return None if caller is None else caller.site


def follow_callers(capture: Callable[[], Site]) -> None:
    """Take note of who calls, until `forget_callers` was called as often as this.

    Args:
        capture: records the user's line.
    """
    _captures.append(capture)
    if len(_captures) == 1:
        for kind in _CLASSES:
            _originals.append(kind.__aexit__)
            kind.__aexit__ = _following(kind.__aexit__)


def forget_callers(capture: Callable[[], Site]) -> None:
    """Undo one call of `follow_callers`; does nothing if that was undone.

    Args:
        capture: what that one was given.
    """
    if capture not in _captures:
        return
    _captures.remove(capture)
    if not _captures:
        for kind, original in zip(_CLASSES, _originals, strict=True):
            kind.__aexit__ = original
        _originals.clear()


def _following(original: _Exit) -> _Exit:
    @functools.wraps(original)
    async def leave(self: Any, *error: Any) -> None:
        if _caller.get() is not None or not _captures:
            return await original(self, *error)
        token = _caller.set(_Caller(asyncio.current_task(), _captures[-1]()))
        try:
            return await original(self, *error)
        finally:
            _caller.reset(token)

    return leave
