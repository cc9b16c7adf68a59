"""UNO102 unretrieved-exception: a task or future failed, and nobody looked at its exception.

What is dropped complains by itself, to the loop's exception handler. What is kept (in a global, say) never
does, so the watched tasks and the futures that the test made are asked.
"""

from __future__ import annotations

import asyncio
import traceback
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast

from pytest_uno.core.asyncio_internals import peek_exception
from pytest_uno.leaks.asyncio_internals import forget_exception
from pytest_uno.leaks.judging import Judgement, Ledger, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.tasks.exception_setters import find_exception_setter
from pytest_uno.leaks.tasks.task_births import AnyTask, TaskBirths, TaskWatch

__all__ = ["UnretrievedExceptions", "traceback_text"]

AnyFuture: TypeAlias = "asyncio.Future[Any]"

_MESSAGE = "exception was never retrieved"
"""How the message to the loop's exception handler ends; it begins with the name of the class."""

_NOBODY = OwnerInfo("session", "", "session")


class UnretrievedExceptions:
    """The detector of UNO102.

    Args:
        sites: turns tracebacks into frames.
        births: knows where tasks were made, and whose they are.
        ledger: takes what comes up between judgements.
        watch_of: returns the watch of a loop, None if it is not watched.
    """

    young_kinds: frozenset[type] = frozenset({asyncio.Future})

    def __init__(
        self,
        sites: Sites,
        births: TaskBirths,
        ledger: Ledger,
        watch_of: Callable[[asyncio.AbstractEventLoop], TaskWatch | None],
    ) -> None:
        self._sites = sites
        self._births = births
        self._ledger = ledger
        self._watch_of = watch_of
        self._older: weakref.WeakSet[AnyFuture] = weakref.WeakSet()

    def snapshot(self, owner: Owner) -> None:
        """Do nothing: a future itself knows whether anybody has looked."""

    def excuse(self, things: Iterable[object]) -> None:
        """Never judge futures and tasks that have failed before.

        Args:
            things: objects; those that are no failed futures do not matter.
        """
        self._older.update(cast("AnyFuture", thing) for thing in things if self.is_candidate(thing))

    def is_candidate(self, thing: Any) -> bool:
        """Say whether an object of one of the `young_kinds` deserves a closer look.

        Args:
            thing: the object.
        """
        future: AnyFuture = thing
        return (
            isinstance(thing, asyncio.Future)
            and peek_exception(future) is not None
            and future not in self._older
        )

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the failed tasks and futures that nobody has looked at."""
        tasks = [
            self._suspect(task, owner)
            for task in self.finished_tasks(judgement.loop)
            if self.is_candidate(task) and judgement.concerns(owner := self._births.owner(task))
        ]
        futures = [
            self._suspect(cast("AnyFuture", thing), judgement.owner)
            for thing in judgement.young
            if self.is_candidate(thing)
        ]
        return tasks + futures

    def excuses(self, context: dict[str, Any]) -> bool:
        """Say whether what a loop reports is of a future that was excused.

        Args:
            context: what the loop hands to its exception handler.
        """
        future = context.get("future")
        return isinstance(future, asyncio.Future) and future in self._older

    def finished_tasks(self, loop: asyncio.AbstractEventLoop) -> list[AnyTask]:
        """Return the tasks of a watched loop that are done and that somebody still holds.

        Args:
            loop: the loop.
        """
        watch = self._watch_of(loop)
        if watch is None or not watch.tasks:
            return []
        watch.compact()
        tasks = [ref() for ref in watch.tasks]
        return [task for task in tasks if task is not None and task.done()]

    def handle(self, context: dict[str, Any]) -> bool:
        """Note what a loop reports.

        Args:
            context: what the loop hands to its exception handler.

        Returns:
            Whether it was an exception that nobody looked at.
        """
        future: AnyFuture | None = context.get("future")
        exc = context.get("exception")
        if exc is None or future is None or not str(context.get("message", "")).endswith(_MESSAGE):
            return False
        owner = self._births.owner(future) if isinstance(future, asyncio.Task) else OWNER.get()
        self._ledger.record(
            owner, self._describe(future, exc, _NOBODY if owner is None else OwnerInfo.of(owner))
        )
        return True

    def _suspect(self, future: AnyFuture, owner: Owner | None) -> Suspect:
        def describe(blamed: OwnerInfo) -> Finding:
            exc = peek_exception(future)
            assert exc is not None, "asked while the exception is still there"
            return self._describe(future, exc, blamed)

        def adopt(holder: Owner) -> None:
            if isinstance(future, asyncio.Task):
                self._births.adopt(future, holder)

        return Suspect(future, owner, describe, adopt, lambda: forget_exception(future))

    def _describe(self, future: AnyFuture, exc: BaseException, owner: OwnerInfo) -> Finding:
        if isinstance(future, asyncio.Task):
            births = self._births
            subject, target, created = births.describe(future), births.target(future), births.created(future)
        else:
            subject, target = "future", type(exc).__qualname__
            created = self._sites.from_traceback(exc) or find_exception_setter(owner, self._sites)
        return Finding(
            rule="UNO102",
            subject=f"{subject} failed with {type(exc).__qualname__} and nobody looked",
            target=target,
            created=created,
            waiting_at=(),
            awaited_by=None,
            owner=owner,
            details=traceback_text(exc),
        )


def traceback_text(exc: BaseException) -> str:
    """Return the traceback of an exception as text, without the line end.

    Args:
        exc: the exception.
    """
    return "".join(traceback.format_exception(exc)).rstrip("\n")
