"""Which manager the running code belongs to.

**Two places, in this order.** A context variable says which manager was made current: tasks inherit it,
concurrent tests and requests do not share it, and nothing has to be passed through. Where none was made
current, the running loop has one of its own, made on demand. There is no process-wide manager, because one
that outlives its event loop hands tasks and resources of a dead loop to the next test.

**The loop's own manager ends with the loop.** asyncio has no hook for the end of a loop, with one exception:
whoever closes a loop in good order (`asyncio.run`, `asyncio.Runner`, pytest-asyncio, uvicorn) awaits
`loop.shutdown_asyncgens()` first, which closes every async generator that was started in the loop. So one is
started whose `finally` shuts the manager down. It is kept in an attribute of the loop: a weak dictionary with
the loop as its key would never let go, since the manager refers to the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from pytest_uno.core.coroutine_functions import require_coroutine_function
from pytest_uno.core.errors import compose_message

if TYPE_CHECKING:
    from pytest_uno.core.async_manager import AsyncManager

__all__ = ["as_task", "current_manager", "get_async_manager", "use_manager"]

P = ParamSpec("P")
T = TypeVar("T")

current_manager: ContextVar[AsyncManager | None] = ContextVar("pytest_uno_current_manager", default=None)
"""The manager that was made current in this context, if any. Read it through `get_async_manager()`."""

_LOOP_ATTRIBUTE = "_pytest_uno_loop_manager"


def get_async_manager() -> AsyncManager:
    """Return the manager that the running code belongs to.

    That is the manager made current in this context (by `async with manager:`, `use_manager`, or being a task
    of the manager), unless it is bound to another event loop; else the running loop's own, which is made on
    demand and shut down when the loop ends.

    Returns:
        The manager. The same one for the whole life of the loop, unless it was shut down meanwhile.

    Raises:
        RuntimeError: no event loop is running and no manager is current.
    """
    manager = current_manager.get()
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        if manager is not None:
            return manager
        raise RuntimeError(
            compose_message(
                "there is no AsyncManager here: no event loop is running and none was made current",
                cause="called at import time, from synchronous code, or from another thread",
                fix="call it from a coroutine, or make one current with `use_manager(manager)`",
                anchor="no-manager",
            )
        ) from None
    if manager is not None and manager.is_usable_in(loop):
        return manager
    return _get_loop_manager(loop)


class _LoopManager:
    """What a loop keeps: its own manager, and the async generator that ends it."""

    __slots__ = ("guard", "manager")

    def __init__(self, manager: AsyncManager) -> None:
        self.manager = manager
        self.guard = self._shut_down_at_loop_end()

    async def _shut_down_at_loop_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.manager.shutdown()


def _get_loop_manager(loop: asyncio.AbstractEventLoop) -> AsyncManager:
    # Not at module level: the manager's module needs the context variable above.
    from pytest_uno.core.async_manager import AsyncManager

    kept: _LoopManager | None = getattr(loop, _LOOP_ATTRIBUTE, None)
    if kept is not None and not kept.manager.closed:
        return kept.manager
    manager = AsyncManager(name="loop")
    manager.bind()
    if kept is not None:
        kept.manager = manager  # the guard is still waiting, and ends whichever is there
        return manager
    kept = _LoopManager(manager)
    setattr(loop, _LOOP_ATTRIBUTE, kept)
    with contextlib.suppress(StopIteration):
        kept.guard.asend(None).send(None)  # up to its `yield`; this function cannot await
    return manager


class use_manager:  # noqa: N801 - a context manager that reads like a function
    """Make a manager current for a block, without starting it or shutting it down.

    For fixtures and for code that hands its own manager to what it calls. Any number of blocks may nest. The
    two ends of one block may run in different contexts, as the two halves of a fixture do.

    Args:
        manager: the manager that `get_async_manager()` returns inside the block.

    Example:
        >>> async def handle(request, manager):
        ...     with use_manager(manager):
        ...         assert get_async_manager() is manager
        ...         return await serve(request)
    """

    def __init__(self, manager: AsyncManager) -> None:
        self._manager = manager
        self._tokens: list[Token[AsyncManager | None]] = []

    def __enter__(self) -> AsyncManager:
        self._tokens.append(current_manager.set(self._manager))
        return self._manager

    def __exit__(self, *exc_info: object) -> None:
        restore_manager(self._tokens.pop(), self._manager)


def restore_manager(token: Token[AsyncManager | None], manager: AsyncManager) -> None:
    """Make current what was current before `manager` was.

    Args:
        token: what setting the context variable returned.
        manager: the manager that was set.
    """
    try:
        current_manager.reset(token)
    except ValueError:
        # Left in another context than entered: what was current there is not ours to bring back.
        if current_manager.get() is manager:
            current_manager.set(None)


@overload
def as_task(
    name: str | None = None,
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, asyncio.Task[T]]]: ...
@overload
def as_task(name: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, asyncio.Task[T]]: ...
def as_task(name: Any = None) -> Any:
    """Make calls of a coroutine function start managed tasks: a decorator, with or without parentheses.

    A call must be made where an event loop is running; the task belongs to the manager that
    `get_async_manager()` returns there.

    Args:
        name: the name of the tasks; by default that of the function.

    Returns:
        A function that takes the same arguments and returns the `asyncio.Task`.

    Raises:
        TypeError: the decorated function is not a coroutine function.

    Example:
        >>> @as_task("mailer")
        ... async def send(message): ...
        >>> async def order():
        ...     task = send("hello")  # runs already, and ends with the manager at the latest
        ...     await task
    """

    def decorate(func: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, asyncio.Task[T]]:
        require_coroutine_function(func, "as_task")
        task_name: str = name if isinstance(name, str) else getattr(func, "__name__", type(func).__name__)

        @functools.wraps(func)
        def start(*args: P.args, **kwargs: P.kwargs) -> asyncio.Task[T]:
            return get_async_manager().create_task(func(*args, **kwargs), name=task_name)

        return start

    if callable(name):
        return decorate(cast("Callable[..., Coroutine[Any, Any, Any]]", name))
    return decorate
