"""Telling coroutine functions from the others, at decoration time."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from pytest_uno.core.errors import compose_message

__all__ = ["require_coroutine_function"]


def require_coroutine_function(func: Callable[..., Any], what: str) -> None:
    """Refuse a function that is not a coroutine function.

    `functools.partial` objects are looked through, and an object counts if its `__call__` is a coroutine
    function.

    Args:
        func: what a decorator was put on.
        what: what is asking, for the message: the decorator's name, as `retry`.

    Raises:
        TypeError: `func` is not a coroutine function.

    Example:
        >>> require_coroutine_function(print, "retry")
        Traceback (most recent call last):
            ...
        TypeError: retry needs an `async def` function, got <built-in function print>
        ...
    """
    inner: Any = func
    while isinstance(inner, functools.partial):
        inner = inner.func
    # A class is called to construct: its __call__ belongs to its instances.
    call = None if isinstance(inner, type) else getattr(inner, "__call__", None)  # noqa: B004
    if inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(call):
        return
    raise TypeError(
        compose_message(
            f"{what} needs an `async def` function, got {func!r}",
            cause="the function is synchronous, or a decorator below this one hides that it is asynchronous",
            fix=f"make it `async def`, and put `{what}` closest to the function",
            anchor="not-a-coroutine-function",
        )
    )
