"""UNO103 swallowed-cancellation: a task was cancelled, and returned normally.

A cancellation counts if three things are true. Somebody asked for it who does not take it back: `asyncio.timeout`,
task groups and their kin cancel the very task that they run in, and deal with it themselves. It was delivered: what
a task passes on to the task that it waits for may end there. And it was not taken back with `uncancel()`.

The expiry of `asyncio.timeout` is a cancellation, too, whose fate shows when the block ends: without an exception
although the time was up.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import os
import sys
import weakref
from asyncio import timeouts
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeAlias

import pytest_uno
from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Ledger, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER
from pytest_uno.leaks.sites import Site, Sites
from pytest_uno.leaks.tasks.task_births import TaskBirths
from pytest_uno.leaks.tasks.task_internals import (
    has_failed,
    is_cancelled_by_error,
    must_cancel,
    raced_by_wait_for,
)
from pytest_uno.leaks.tasks.watched_tasks import WatchedTask

__all__ = ["SwallowedCancellations"]

AnyFuture: TypeAlias = "asyncio.Future[Any]"

_TIMEOUTS = "/asyncio/timeouts.py"

_PROTOCOLS = (
    _TIMEOUTS,
    "/asyncio/taskgroups.py",
    "/anyio/_backends/_asyncio.py",
    "/async_timeout/__init__.py",
    "/aiohttp/helpers.py",
    "/asgiref/timeout.py",
    "/quattro/cancelscope.py",
    "/quattro/taskgroup.py",
    "/taskgroup/taskgroups.py",
    "/taskgroup/timeouts.py",
)
"""Files whose cancellations end where they began. Some forget `uncancel()`: task groups of 3.11 and 3.12 do."""

_HARNESS = os.path.dirname(pytest_uno.__file__).replace(os.sep, "/") + "/"
_PASSED_ON = (f"{_HARNESS}leaks/tasks/watched_tasks.py", "/asyncio/tasks.py")
"""Files whose `cancel` hands on what somebody else has asked for: to the task that is awaited, or is gathered."""

_WAITS = ("/asyncio/tasks.py", f"{_HARNESS}core/timeouts.py")
"""Files that open an `asyncio.timeout` in the name of their caller: `wait_for` since 3.12, and ours."""

_NOBODY = OwnerInfo("session", "", "session")

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


@dataclasses.dataclass(slots=True, eq=False)
class _Request:
    """One call of `cancel`.

    Attributes:
        carrier: the future that carries the cancellation to the task; None if the loop does so itself.
        rival: what `wait_for` of 3.11 returns the result of, if that is there first.
        site: where it was called.
    """

    carrier: AnyFuture | None
    rival: AnyFuture | None
    site: Site

    def is_delivered(self) -> bool:
        if self.rival is not None and self.rival.done() and not self.rival.cancelled():
            return False  # pragma: no cover - 3.11 only, see `raced_by_wait_for`
        return self.carrier is None or self.carrier.cancelled() or is_cancelled_by_error(self.carrier)


@dataclasses.dataclass(slots=True, eq=False)
class _Cancellations:
    """What was asked of one task.

    Attributes:
        requests: the calls that nobody is known to take back.
        taken_back: how many of them were, nevertheless.
        expiry: the last call by a timeout.
    """

    requests: list[_Request]
    taken_back: int = 0
    expiry: _Request | None = None


class SwallowedCancellations(FurtherDetector):
    """The detector of UNO103, an observer of cancellations.

    Args:
        sites: records the sites.
        births: knows where tasks were made, and whose they are.
        ledger: takes what is found, at the moment it is found.
    """

    def __init__(self, sites: Sites, births: TaskBirths, ledger: Ledger) -> None:
        self._sites = sites
        self._births = births
        self._ledger = ledger
        self._unjudged: weakref.WeakKeyDictionary[WatchedTask, None] = weakref.WeakKeyDictionary()
        births.cancellation_observer = self

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hook that sees the end of each `asyncio.timeout`."""
        reason = "only there it is known that the time was up and that no exception came out of the block"
        return (replace_attribute(timeouts.Timeout, "__aexit__", self._wrap_exit, reason=reason),)

    def clear(self) -> None:
        """Forget every task."""
        self._unjudged.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Judge the tasks that the loop has ended in its last turn; those of earlier turns have been."""
        for task in list(self._unjudged):
            if task.done():
                self._judge(task)
        return []

    def requested(self, task: WatchedTask, waiter: AnyFuture | None, caller: FrameType | None) -> None:
        """Take note that a task is being cancelled; see `CancellationObserver`."""
        file = _file_of(caller)
        is_expiry = file.endswith(_TIMEOUTS)
        if not is_expiry and (file.endswith(_PROTOCOLS) or _is_ours(caller)):
            return
        carrier = None if must_cancel(task) else waiter
        request = _Request(carrier, raced_by_wait_for(task, waiter), [])
        known: _Cancellations | None = getattr(task, "pytest_uno_cancellations", None)
        if known is None:
            known = task.pytest_uno_cancellations = _Cancellations([])
        if is_expiry:
            known.expiry = request
            return
        request.site = self._sites.capture(caller)
        if not known.requests:
            task.add_done_callback(self._judge)
            self._unjudged[task] = None
        known.requests.append(request)

    def taken_back(self, task: WatchedTask, caller: FrameType | None) -> None:
        """Take note that a cancellation was taken back; see `CancellationObserver`."""
        known: _Cancellations | None = getattr(task, "pytest_uno_cancellations", None)
        if known is not None and known.requests and not _file_of(caller).endswith(_PROTOCOLS):
            known.taken_back += 1

    def _judge(self, task: asyncio.Task[Any]) -> None:
        known: _Cancellations | None = getattr(task, "pytest_uno_cancellations", None)
        if known is None or not isinstance(task, WatchedTask):
            return
        task.pytest_uno_cancellations = None
        self._unjudged.pop(task, None)
        if task.cancelled() or has_failed(task) or not task.cancelling():
            return
        delivered = [request for request in known.requests if request.is_delivered()]
        if not delivered or len(known.requests) <= known.taken_back or not self._is_users(task):
            return
        by = self._sites.resolve(delivered[0].site)[:1]
        finding = Finding(
            rule="UNO103",
            subject=f"{self._births.describe(task)} was cancelled, and returned normally",
            target=self._births.target(task),
            created=self._births.created(task),
            waiting_at=(),
            awaited_by=None,
            owner=_NOBODY,
            details="".join(f"cancelled at {each.file}:{each.line} in {each.function}" for each in by),
        )
        self._ledger.record(self._births.owner(task) or self._births.current, finding)

    def _is_users(self, task: WatchedTask) -> bool:
        """Say whether the user has made the task, and its coroutine: neither a test's own nor a library's worker."""
        code = getattr(self._births.coroutine(task), "cr_code", None)
        return code is not None and self._sites.is_user(code.co_filename) and self._births.is_users(task)

    def _wrap_exit(self, leave: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(leave)
        def note_and_leave(timeout: asyncio.Timeout, exc_type: object, *exc: object) -> Any:
            if exc_type is None and timeout.expired():
                self._note_timeout(_getframe(1))
            return leave(timeout, exc_type, *exc)

        if sys.version_info >= (3, 12):  # pragma: no branch - 3.11 knows no marks
            inspect.markcoroutinefunction(note_and_leave)
        return note_and_leave

    def _note_timeout(self, frame: FrameType | None) -> None:
        """Note that a block has ended without an exception although its time was up."""
        task = asyncio.current_task()
        known: _Cancellations | None = getattr(task, "pytest_uno_cancellations", None)
        if known is None or known.expiry is None or not known.expiry.is_delivered():
            return
        known.expiry = None
        while frame is not None and _file_of(frame).endswith(_WAITS):
            frame = frame.f_back
        if frame is None or not self._sites.is_user(frame.f_code.co_filename):
            return  # a library's own timeout
        created = self._sites.resolve(self._sites.capture(frame))
        finding = Finding(
            rule="UNO103",
            subject="the block of asyncio.timeout() swallowed the cancellation at its end of time",
            target=created[0].function,
            created=created,
            waiting_at=(),
            awaited_by=None,
            owner=_NOBODY,
        )
        self._ledger.record(OWNER.get() or self._births.current, finding)


def _file_of(frame: FrameType | None) -> str:
    return "" if frame is None else frame.f_code.co_filename.replace(os.sep, "/")


def _is_ours(frame: FrameType | None) -> bool:
    """Say whether the harness cancels, or the core in the name of a group or manager, directly or through others."""
    while frame is not None and _file_of(frame).endswith(_PASSED_ON):
        frame = frame.f_back
    return _file_of(frame).startswith(_HARNESS)
