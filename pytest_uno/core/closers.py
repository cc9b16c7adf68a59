"""How an object of unknown type is closed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

from pytest_uno.core.errors import compose_message

__all__ = ["call_and_await", "find_closer"]

# From the most to the least specific meaning: where a class has both aclose() and close(), the latter is
# often the synchronous half (httpcore, redis), and stop() may merely pause.
_CLOSE_METHODS = ("aclose", "close", "shutdown", "dispose", "stop")
_EXIT_METHODS = ("__aexit__", "__exit__")


def find_closer(resource: object) -> Callable[[], Any]:
    """Find out how an object is closed.

    Tried in this order: `aclose`, `close` (followed by `wait_closed`, where there is one, as with
    `asyncio.Server` and `asyncio.StreamWriter`), `shutdown`, `dispose`, `stop`, `__aexit__`, `__exit__`.

    Args:
        resource: the object.

    Returns:
        A function without parameters; what it returns must be awaited if it is awaitable.

    Raises:
        TypeError: the object has none of these methods.
    """
    for name in _CLOSE_METHODS:
        method = getattr(resource, name, None)
        if callable(method):
            wait_closed = getattr(resource, "wait_closed", None)
            if name == "close" and callable(wait_closed):
                return _close_in_two_steps(method, wait_closed)
            return cast("Callable[[], Any]", method)
    for name in _EXIT_METHODS:
        method = getattr(type(resource), name, None)
        if callable(method):
            return _exit_without_error(resource, method)
    raise TypeError(
        compose_message(
            f"cannot close {resource!r}: it has none of {', '.join(_CLOSE_METHODS + _EXIT_METHODS)}",
            fix="pass `close=`, a function without parameters, sync or async",
            anchor="not-closeable",
        )
    )


def _close_in_two_steps(close: Callable[[], Any], wait_closed: Callable[[], Any]) -> Callable[[], Any]:
    async def close_and_wait() -> None:
        await call_and_await(close)
        await call_and_await(wait_closed)

    return close_and_wait


def _exit_without_error(resource: Any, method: Callable[..., Any]) -> Callable[[], Any]:
    def leave() -> Any:
        return method(resource, None, None, None)

    return leave


async def call_and_await(func: Callable[[], Any]) -> Any:
    """Call a function that may be synchronous or asynchronous.

    Args:
        func: a function without parameters.

    Returns:
        Its result, awaited if it is awaitable.
    """
    result = func()
    return await result if inspect.isawaitable(result) else result
