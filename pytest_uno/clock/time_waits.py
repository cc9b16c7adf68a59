"""Does the test itself wait for nothing but the passing of time?

A subscription or an idle subprocess may be quiet for good. While the test sleeps, such a source gets a short moment
only; while the test waits for an answer, it gets patience.
"""

from __future__ import annotations

import asyncio
import asyncio.taskgroups
import asyncio.tasks
import os
import types
from typing import Any, cast

from pytest_uno.clock.asyncio_internals import gathered, group_tasks, waiter_of
from pytest_uno.clock.await_chain import await_links

__all__ = ["waits_only_for_time"]

_TASKS = asyncio.tasks.__file__
_TASK_GROUPS = asyncio.taskgroups.__file__
_CLOCK = os.path.join(os.path.dirname(__file__), "virtual_clock.py")


def waits_only_for_time(task: asyncio.Future[Any]) -> bool:
    """Say whether a task waits for time only: it sleeps, or waits for tasks that do.

    Must be called in the loop's thread while no task runs.

    Args:
        task: the task, usually that of the test.
    """
    return _only_for_time(task, set())


def _only_for_time(future: asyncio.Future[Any], seen: set[int]) -> bool:
    if id(future) in seen or future.done():
        return True
    seen.add(id(future))
    if not isinstance(future, asyncio.Task):
        return False
    waiter = waiter_of(future)
    if isinstance(waiter, asyncio.Task):
        return _only_for_time(waiter, seen)
    children = gathered(waiter)
    if children is not None:
        return all(_only_for_time(child, seen) for child in children)
    links = await_links(future.get_coro())
    if not links:
        return False
    file, function = links[-1].code.co_filename, links[-1].code.co_name
    if file == _TASKS:
        if function == "_wait":
            return all(_only_for_time(one, seen) for one in _local(links[-1].awaitable, "fs") or ())
        return function == "sleep"
    if file == _TASK_GROUPS:
        group = cast("asyncio.TaskGroup", _local(links[-1].awaitable, "self"))
        return all(_only_for_time(child, seen) for child in group_tasks(group))
    return file == _CLOCK


def _local(coroutine: object, name: str) -> Any:
    frame = cast("types.CoroutineType[Any, Any, Any]", coroutine).cr_frame
    assert frame is not None, "it is suspended"
    return frame.f_locals[name]
