"""UNO101 pending-task: a task that is not done when its owner ends."""

from __future__ import annotations

import asyncio
import os
import weakref
from types import CodeType

from pytest_uno.clock.await_chain import waiting_frames
from pytest_uno.clock.awaiters import awaiters
from pytest_uno.leaks.judging import Judgement, Ledger, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import Owner
from pytest_uno.leaks.settling import settle
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.tasks.task_births import AUTOMATIC_NAME, AnyTask, TaskBirths

__all__ = ["PendingTasks"]

_NOBODY = OwnerInfo("session", "", "session")

_OF_LOOPS = {"_shutdown_process_pool_on_exit": "/anyio/_backends/_asyncio.py"}
"""Functions, and their files, of tasks that a library keeps for as long as the loop runs, and that no user can end.

anyio's waits for the end of the loop, whose closing cancels it, to end the processes of `anyio.to_process`.
"""


class PendingTasks:
    """The detector of UNO101.

    Args:
        sites: turns code and lines into frames.
        births: knows where tasks were made, and whose they are.
        ledger: takes what comes up between judgements.
    """

    def __init__(self, sites: Sites, births: TaskBirths, ledger: Ledger) -> None:
        self._sites = sites
        self._births = births
        self._ledger = ledger
        self._exempt: weakref.WeakSet[AnyTask] = weakref.WeakSet()

    def exempt(self, task: AnyTask) -> None:
        """Never judge a task.

        Args:
            task: a task of the harness, or one that was judged and ignored its cancellation.
        """
        self._exempt.add(task)

    def snapshot(self, owner: Owner) -> None:
        """Do nothing: asyncio itself knows which tasks are pending at the end."""

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the pending tasks, after a moment's grace; once described, the detection cancels them."""
        loop = judgement.loop

        def suspects() -> list[AnyTask]:
            return [task for task in asyncio.all_tasks(loop) if self._is_judged(task, judgement)]

        if not (pending := suspects()) or not (pending := settle(loop, suspects)):
            return []
        waiting_for = awaiters(pending)
        return [self._suspect(task, waiting_for.get(task)) for task in sorted(pending, key=_age)]

    def record_destroyed(self, task: AnyTask) -> None:
        """Note that a pending task was destroyed: nobody held it, so that it could never have ended.

        Args:
            task: the task, which is about to go.
        """
        if task in self._exempt:
            return
        finding = Finding(
            rule="UNO101",
            subject=f"{self._births.describe(task)} was destroyed while it was pending",
            target=self._births.target(task),
            created=self._births.created(task),
            waiting_at=self._sites.select(waiting_frames(task)),
            awaited_by=None,
            owner=_NOBODY,
        )
        self._ledger.record(self._births.owner(task), finding)

    def _is_judged(self, task: AnyTask, judgement: Judgement) -> bool:
        return (
            task not in self._exempt
            and judgement.concerns(self._births.owner(task))
            and not _is_of_loop(self._births.coroutine(task))
        )

    def _suspect(self, task: AnyTask, awaiter: AnyTask | None) -> Suspect:
        def describe(owner: OwnerInfo) -> Finding:
            state = ", cancelled but not done" if task.cancelling() else ""
            return Finding(
                rule="UNO101",
                subject=self._births.describe(task) + state,
                target=self._births.target(task),
                created=self._births.created(task),
                waiting_at=self._sites.select(waiting_frames(task)),
                awaited_by=None if awaiter is None else self._births.describe(awaiter),
                owner=owner,
            )

        def adopt(owner: Owner) -> None:
            self._births.adopt(task, owner)

        return Suspect(task, self._births.owner(task), describe, adopt)


def _is_of_loop(coroutine: object) -> bool:
    code: CodeType | None = getattr(coroutine, "cr_code", None)
    if code is None or (file := _OF_LOOPS.get(code.co_name)) is None:
        return False
    return code.co_filename.replace(os.sep, "/").endswith(file)


def _age(task: AnyTask) -> tuple[int, str]:
    """Order tasks as they were made, as far as their names tell; sets have no order of their own."""
    name = task.get_name()
    automatic = AUTOMATIC_NAME.fullmatch(name)
    return (0, name) if automatic is None else (int(automatic[1] or 0), "")
