"""What the sandbox does for itself in the midst of a test: no leak detector is to blame the test for it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextvars import ContextVar

from pytest_uno.database.templates.redirection import current_target

__all__ = ["is_own_work", "own_work"]

_is_own: ContextVar[bool] = ContextVar("pytest_uno_own_work", default=False)


@contextlib.contextmanager
def own_work() -> Generator[None]:
    """Let what the current task opens in a block be the sandbox's own."""
    token = _is_own.set(True)
    try:
        yield
    finally:
        _is_own.reset(token)


def is_own_work() -> bool:
    """Say whether the current task opens something for the sandbox, or builds a template."""
    return _is_own.get() or current_target.get() is not None
