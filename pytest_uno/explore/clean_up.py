"""The end of a schedule: what it has left is cancelled, so that nothing reaches into the next one.

The clean-up of tasks may take an hour of virtual time, and waits for threads and sockets as long as the clock does. A
task that swallows its cancellation would go on for ever, in every schedule. It shows in the rounds of the loop that it
needs, and is left behind after some of them; what it means for the test has been judged by then.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pytest_uno.explore.asyncio_internals import has_default_executor, has_generators
from pytest_uno.explore.schedule_loop import ScheduleLoop
from pytest_uno.leaks.asyncio_internals import forget_pending

__all__ = ["CLEAN_UP_ROUNDS", "end_tasks"]

CLEAN_UP_ROUNDS = 2_000
"""Rounds of the loop in which what was cancelled has to end."""

_CLEAN_UP = 3600.0
"""Virtual seconds after which it is cancelled once more."""


def end_tasks(loop: ScheduleLoop) -> None:
    """Cancel what is left on a loop that does not run; errors of the clean-up say nothing new.

    Args:
        loop: the loop; must explore no more.
    """
    for finish in (_cancel_all, _close_generators, _close_executor):
        try:
            finish(loop)
        except Exception:  # whatever a leftover does, the next schedule begins
            continue


def _cancel_all(loop: ScheduleLoop) -> None:
    left = [task for task in asyncio.all_tasks(loop) if not task.done()]
    if not left:
        return
    for task in left:
        task.cancel()
    loop.clock.reset()  # whatever limit the schedule ran into, this is new
    loop.clock.deadline = loop.time() + _CLEAN_UP
    loop.rounds_left = CLEAN_UP_ROUNDS
    try:
        loop.run_until_complete(_gather(left))
    finally:
        loop.rounds_left = 0
        for task in asyncio.all_tasks(loop):
            forget_pending(task)


async def _gather(tasks: list[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _close_generators(loop: ScheduleLoop) -> None:
    if has_generators(loop):
        loop.run_until_complete(loop.shutdown_asyncgens())


def _close_executor(loop: ScheduleLoop) -> None:
    if has_default_executor(loop):
        loop.run_until_complete(loop.shutdown_default_executor())
