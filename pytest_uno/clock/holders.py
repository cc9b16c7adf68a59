"""Find who holds a lock, and who else could end a wait.

asyncio's locks do not record their owner. But a coroutine inside of `async with lock:` has the lock's
`__aexit__` on its evaluation stack, and `gc.get_referents` of the coroutine shows it: a bound method until
3.13, the function and the lock next to each other from 3.14 on. That is exact, costs one look, runs no code
and pins nothing.

A lock taken by `await lock.acquire()`, and every event, condition, queue and bare future, leaves no such
trace. For these the tasks are named that can reach the object from their frames: whoever is to set, notify or
put must reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import types
from collections.abc import Collection, Iterator
from typing import Any, cast

from pytest_uno.clock import asyncio_internals
from pytest_uno.clock.await_chain import Link, await_links, is_running

__all__ = ["entered_contexts", "reachable"]

_LIMIT = 1000
"""Most objects that are looked at for one task."""

_DEPTH = 4
"""From a frame through `self`, its `__dict__`, a container in there, to the object."""

_OPAQUE = (
    type,
    str,
    bytes,
    int,
    types.ModuleType,
    types.FunctionType,
    types.CodeType,
    types.FrameType,
    types.CoroutineType,
    asyncio.AbstractEventLoop,
    asyncio.Future,
    contextvars.Context,
)
"""Not searched: they lead to other tasks and to everything."""


def entered_contexts(task: asyncio.Task[Any]) -> list[object]:
    """Return the async context managers that a suspended task is inside of, the outermost first.

    What is just being entered does not count. Managers within a suspended async generator (`async for`,
    `@asynccontextmanager`) and on an `AsyncExitStack` count. A condition brings its lock.

    Args:
        task: the task; when it runs, the frames that run are left out.
    """
    entered: list[object] = []
    links = await_links(task.get_coro())
    # A generator that the chain runs through is a link of its own: its referents must not count twice.
    walked = {id(link.awaitable) for link in links}
    for position, link in enumerate(links):
        if link.awaitable is None or is_running(link.awaitable):
            continue
        here = _exits(gc.get_referents(link.awaitable), walked)
        entering = position + 1 < len(links) and links[position + 1].code.co_name == "__aenter__"
        for manager in here[:-1] if entering else here:
            entered.extend(_expand(manager, walked))
    held: list[object] = []
    for manager in entered:
        held.append(manager)
        if isinstance(manager, asyncio.Condition):
            held.append(asyncio_internals.condition_lock(manager))
    released = _released(links)
    return [manager for manager in held if all(manager is not item for item in released)]


def _released(links: list[Link]) -> list[object]:
    """Return the condition that a task waits on, and its lock: `Condition.wait` gives the lock up."""
    for link in links:
        if link.code.co_qualname == "Condition.wait":
            for item in gc.get_referents(link.awaitable):
                if isinstance(item, asyncio.Condition):
                    return [item, asyncio_internals.condition_lock(item)]
    return []


def _exits(referents: list[object], walked: set[int]) -> list[object]:
    """Return the objects whose `__aexit__` waits on an evaluation stack, also that of a generator on it."""
    found: list[object] = []
    for item, following in zip(referents, [*referents[1:], None], strict=False):
        if isinstance(item, types.MethodType):
            if item.__name__ == "__aexit__":
                found.append(item.__self__)
        elif isinstance(item, types.FunctionType):
            if item.__name__ == "__aexit__" and hasattr(type(following), "__aexit__"):
                found.append(following)
        elif issubclass(type(item), types.AsyncGeneratorType) and id(item) not in walked:
            # The generator of an `async for` whose body waits for something else.
            walked.add(id(item))
            found.extend(_exits(gc.get_referents(item), walked))
    return found


def _expand(manager: object, walked: set[int]) -> Iterator[object]:
    """Yield a context manager, and those inside of it."""
    yield manager
    inner: list[object] = []
    if issubclass(type(manager), contextlib.AsyncExitStack):
        inner = asyncio_internals.exit_callbacks(manager)
    generator = asyncio_internals.context_generator(manager)
    if generator is not None:
        inner = [generator]
    for entered in _exits(inner, walked):
        yield from _expand(entered, walked)


def reachable(task: asyncio.Task[Any], targets: Collection[int]) -> set[int]:
    """Say which objects a task can reach from the frames it is suspended in.

    Args:
        task: the task.
        targets: the identities (`id`) of the objects that are looked for.

    Returns:
        The identities that were found.
    """
    found: set[int] = set()
    seen: set[int] = set()
    layer: list[object] = [
        link.awaitable
        for link in await_links(task.get_coro())
        if link.awaitable is not None and not is_running(link.awaitable)
    ]
    for _ in range(_DEPTH + 1):
        following: list[object] = []
        for item in layer:
            for referent in cast("list[object]", gc.get_referents(item)):
                identity = id(referent)
                if identity in targets:
                    found.add(identity)
                if identity not in seen and not issubclass(type(referent), _OPAQUE):
                    seen.add(identity)
                    following.append(referent)
            if len(seen) > _LIMIT:
                return found
        layer = following
    return found
