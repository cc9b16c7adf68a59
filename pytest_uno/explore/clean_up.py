"""The end of a schedule: what it has left is cancelled, so that nothing reaches into the next one.

The clean-up of tasks may take an hour of virtual time, and waits for threads and sockets as long as the clock does. A
task that swallows its cancellation would go on for ever, in every schedule. It shows in the rounds of the loop that it
needs, and is left behind after some of them; what it means for the test has been judged by then.

A schedule that failed may have left connections that its program would have closed: a server accepts one that came late
while the clean-up runs, and nobody has begun to serve it. Unclosed, it would warn from whatever test comes later. What
a schedule leaves open that did not fail warns as it would with `asyncio.run`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pytest_uno.clock.pool_threads import PoolThread, all_rest
from pytest_uno.clock.real_time import monotonic
from pytest_uno.explore.asyncio_internals import default_executor_of, has_generators, threads_of
from pytest_uno.explore.schedule_loop import ScheduleLoop
from pytest_uno.leaks.asyncio_internals import forget_pending, open_connections

__all__ = ["CLEAN_UP_ROUNDS", "end_tasks"]

CLEAN_UP_ROUNDS = 2_000
"""Rounds of the loop in which what was cancelled has to end."""

_CLEAN_UP = 3600.0
"""Virtual seconds after which it is cancelled once more."""

_LOOKS, _BETWEEN_LOOKS = 2, 0.0001
"""How often, and after how many real seconds, a pool is looked at again: who has just answered is not at rest yet."""

_ENDING = 1.0
"""Real seconds in which threads end that have nothing to do."""


def end_tasks(loop: ScheduleLoop, *, has_failed: bool) -> None:
    """Cancel what is left on a loop that does not run; errors of the clean-up say nothing new.

    Args:
        loop: the loop; must explore no more.
        has_failed: the schedule has; what it left open is closed then.
    """
    for finish in (_cancel_all, _close_generators, _close_executor, *([_abort_connections] * has_failed)):
        try:
            finish(loop)
        except Exception:  # whatever a leftover does, the next schedule begins
            continue


def _cancel_all(loop: ScheduleLoop) -> None:
    cancelled: set[asyncio.Task[Any]] = set()
    try:
        # Again, since clean-up begins tasks as well, and servers do for who came late.
        while left := asyncio.all_tasks(loop) - cancelled:
            if not cancelled:
                loop.clock.reset()  # whatever limit the schedule ran into, this is new
                loop.clock.deadline = loop.time() + _CLEAN_UP
                loop.rounds_left = CLEAN_UP_ROUNDS
            cancelled |= left
            for task in left:
                task.cancel()
            loop.run_until_complete(_gather(left))
    finally:
        loop.rounds_left = 0
        for task in asyncio.all_tasks(loop):
            forget_pending(task)


async def _gather(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _close_generators(loop: ScheduleLoop) -> None:
    if has_generators(loop):
        loop.run_until_complete(loop.shutdown_asyncgens())


def _close_executor(loop: ScheduleLoop) -> None:
    executor = default_executor_of(loop)
    if executor is None:
        return
    if type(executor) is ThreadPoolExecutor and _come_to_rest(threads_of(executor)):
        # asyncio begins a thread that waits for them while the loop runs: what they work on may need it.
        executor.shutdown(wait=False)
        end = monotonic() + _ENDING
        for thread in threads_of(executor):
            thread.join(max(end - monotonic(), 0))
        if not any(thread.is_alive() for thread in threads_of(executor)):
            return
    loop.run_until_complete(loop.shutdown_default_executor())


def _come_to_rest(threads: list[threading.Thread]) -> bool:
    """Say whether the threads of a pool have no work, or are done with it within a moment."""
    pooled = [PoolThread(thread) for thread in threads]
    for _ in range(_LOOKS):
        if all_rest(pooled):
            return True
        time.sleep(_BETWEEN_LOOKS)
    for one in pooled:
        one.settle()
    return all_rest(pooled)


def _abort_connections(loop: ScheduleLoop) -> None:
    if connections := open_connections(loop):
        for connection in connections:
            connection.abort()
        loop.run_until_complete(asyncio.sleep(0))  # the socket is closed in the next turn
