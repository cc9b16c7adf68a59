"""The tasks that clean-up begins, which must not outlive it.

SQLAlchemy closes a session in a task of its own and shields it, and so do others: whoever waits for it can be
cancelled, and it goes on. After a test that would be in the middle of the next one, on a connection that is not in its
pool yet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator

from pytest_uno.leaks.judging import Judgement
from pytest_uno.leaks.settling import can_turn, reap, settle_in_time
from pytest_uno.leaks.tasks.task_births import AnyTask, TaskBirths

__all__ = ["ending_followers"]

_SECONDS = 0.25
"""Real seconds in which a follower may end by itself before it is cancelled: it closes something."""


@contextlib.contextmanager
def ending_followers(judgement: Judgement, births: TaskBirths) -> Generator[None]:
    """Let the tasks that the block begins in the name of those who are judged end with it, in bounded time.

    They are a part of what was reported already; those of others, as of a server that goes on, are left alone. The
    block must run the loop for clean-up only.

    Args:
        judgement: whose loop it is, and whom the clean-up is of.
        births: knows whose the tasks are.
    """
    loop = judgement.loop
    before = asyncio.all_tasks(loop)
    yield

    def followers() -> list[AnyTask]:
        new = asyncio.all_tasks(loop) - before
        return [task for task in new if judgement.concerns(births.owner(task))]

    if can_turn(loop) and (begun := followers()):
        settle_in_time(loop, followers, seconds=_SECONDS)
        reap(loop, {*begun, *followers()})
