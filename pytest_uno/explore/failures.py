"""What makes two failures the same, and which errors are none."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias, cast

from pytest_uno.core.errors import ClockError
from pytest_uno.leaks.sites import Sites

__all__ = ["FailureKey", "is_forced_timeout", "key_of", "users_sites"]

FailureKey: TypeAlias = tuple[object, ...]
"""The exception's type, and the innermost line of the user's code in its traceback."""

_sites: Sites | None = None


def users_sites() -> Sites:
    """Return what knows the user's files from those of libraries."""
    global _sites
    if _sites is None:
        _sites = Sites(Path.cwd())
    return _sites


def key_of(error: BaseException) -> FailureKey:
    """Return what makes this failure the same as another one.

    Args:
        error: as the scenario raised it; a group counts as what is in it.
    """
    if isinstance(error, BaseExceptionGroup):
        inner = sorted({key_of(one) for one in _members(error)}, key=repr)
        return inner[0] if len(inner) == 1 else ("group", *inner)
    return (type(error).__qualname__, *_innermost(error.__traceback__))


def _members(group: Any) -> tuple[BaseException, ...]:
    return cast("tuple[BaseException, ...]", group.exceptions)


def _innermost(traceback: TracebackType | None) -> tuple[object, ...]:
    is_user = users_sites().is_user
    found: tuple[object, ...] = ()
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if is_user(file):
            found = (file, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def is_forced_timeout(error: BaseException) -> bool:
    """Say whether an error only tells that a time-out has fired: where we made it fire, that is no bug.

    Args:
        error: what the scenario raised.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_forced_timeout(one) for one in _members(error))
    return isinstance(error, TimeoutError | asyncio.TimeoutError) and not isinstance(error, ClockError)
