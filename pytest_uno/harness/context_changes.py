"""Carrying context variables that a fixture's task set over to the test."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

__all__ = ["apply_context_changes"]


def apply_context_changes(context: contextvars.Context) -> Callable[[], None] | None:
    """Set every variable here that has another value in `context`.

    A fixture's coroutine runs in a context of its own; a sync fixture would have set the variable right here.

    Args:
        context: the context that the fixture ran in.

    Returns:
        A function that undoes it, or None when there was nothing to do. Must be called in the same context.
    """
    tokens: list[tuple[contextvars.ContextVar[Any], contextvars.Token[Any]]] = []
    missing = object()
    for var, value in context.items():
        if var.get(missing) is not value:
            tokens.append((var, var.set(value)))
    if not tokens:
        return None

    def restore() -> None:
        while tokens:
            var, token = tokens.pop()
            var.reset(token)

    return restore
