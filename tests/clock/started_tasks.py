"""Tasks that wait, and pictures of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from pytest_uno.clock.await_graph import AwaitGraph, AwaitNode, capture_await_graph

__all__ = ["NOBODY", "Waits", "forever", "node", "picture", "started", "take", "turn", "waits"]

Waits = Callable[[], Coroutine[Any, Any, object]]
NOBODY = "(no other suspended task refers to it)"


async def turn(turns: int = 8) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def forever() -> None:
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def started(**coroutines: Coroutine[Any, Any, object]) -> AsyncIterator[dict[str, asyncio.Task[Any]]]:
    """Start tasks in order, let each run until it waits, and end them afterwards."""
    tasks: dict[str, asyncio.Task[Any]] = {}
    for name, coroutine in coroutines.items():
        tasks[name] = asyncio.create_task(coroutine, name=name)
        await turn()
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


def picture(tasks: dict[str, asyncio.Task[Any]]) -> AwaitGraph:
    return capture_await_graph(asyncio.get_running_loop(), tasks=tasks.values())


def node(graph: AwaitGraph, name: str) -> AwaitNode:
    return next(one for one in graph.nodes if one.name == name)


def waits(graph: AwaitGraph) -> dict[str, str]:
    return {one.name: one.waits_for for one in graph.nodes}


async def take(lock: asyncio.Lock) -> None:
    async with lock:
        raise AssertionError("the lock is never free")
