"""A task group that can be looked at, cancelled, and told to go on after failures.

What may be overridden in `asyncio.TaskGroup` without touching its inside is `__init__`, `__aenter__`,
`__aexit__` and `create_task`; everything here is built on those. Three things need explaining.

**Views.** The group keeps its tasks in one list (`task_history.py`) and derives every view from it when
asked: a done-callback per task would cost more than the rest of the group does.

**cancel().** 3.15 brought `asyncio.TaskGroup.cancel`; there it is used. Before, the same is done with public
means: cancel the tasks, cancel the host if it is in the body, and take that one cancellation back in
`__aexit__`. Whatever other cancellations the host was given remain its own, and are raised when the block is
left.

**Stale cancellations.** On 3.11 and 3.12 a group whose task fails while the host already waits for its tasks
cancels the host and forgets about it. `Task.cancelling()` then never returns to its old value, and an
enclosing `asyncio.timeout` takes its own expiry for a cancellation from outside. `__aexit__` takes back what
the base class left, and does as 3.13 does with a cancellation that came from outside meanwhile: it stays
pending, and is delivered at the next await. Groups of plain asyncio that failed earlier in the same task
leave their stale counts behind too; so cancellations are counted from what was there on entry.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_uno.core.asyncio_internals import (
    FAILED_GROUP_CANCELS_HOST,
    GROUP_HAS_CANCEL,
    abort_group,
    has_pending_cancellation,
    is_group_aborting,
    is_host_cancelled_by_group,
)
from pytest_uno.core.errors import compose_message
from pytest_uno.core.task_group_refusals import compose_refusal
from pytest_uno.core.task_history import TaskHistory
from pytest_uno.core.uninterrupted import add_note_once

if TYPE_CHECKING:
    from typing import Self

__all__ = ["TaskGroup"]

T = TypeVar("T")
_numbers = itertools.count(1)

_NEW, _ENTERED, _EXITING, _LEFT = range(4)
_PHASES = ("new", "entered", "exiting", "left")


class TaskGroup(asyncio.TaskGroup):
    """Run tasks together: `asyncio.TaskGroup` with a name, views, `cancel()`, and a supervisor mode.

    Everything that `asyncio.TaskGroup` promises holds. In addition a note on each error names the task that
    failed, and leaving the group never leaves a stale cancellation behind, which it does on Python 3.11 and
    3.12.

    A group belongs to the task that enters it, and must be used in that task's event loop only. It can be
    entered once.

    Args:
        name: names the group in errors and its tasks (`NAME/0`, `NAME/1`, ...); by default `TaskGroup-N`.
        cancel_on_error: True: the first failure cancels the other tasks and the body, as in asyncio. False:
            the group supervises, that is the others go on, and all failures are raised together at the end.
        history: how many finished tasks the views remember, at least; None remembers all, for as long as the
            group exists. Give a number to a group that lives long.

    Raises:
        ValueError: `history` is negative.
        ExceptionGroup: on leaving, when tasks or the body failed; a `BaseExceptionGroup` if one of the
            failures is no `Exception`. `SystemExit` and `KeyboardInterrupt` are raised as they are.

    Example:
        >>> async def crawl(urls):
        ...     async with TaskGroup("crawl", cancel_on_error=False) as group:
        ...         for url in urls:
        ...             group.create_task(fetch(url), name=url)
        ...     return [task.result() for task in group.tasks]
    """

    # The attributes bear a prefix of their own because asyncio may add any name to the base class.

    def __init__(
        self, name: str | None = None, *, cancel_on_error: bool = True, history: int | None = None
    ) -> None:
        super().__init__()
        if history is not None and history < 0:
            raise ValueError(
                compose_message(
                    f"history must not be negative, got {history!r}",
                    fix="pass how many finished tasks to remember, or None for all",
                    anchor="task-group-history",
                )
            )
        self._uno_name = f"TaskGroup-{next(_numbers)}" if name is None else name
        self._uno_supervises = not cancel_on_error
        self._uno_history = TaskHistory(history, self._uno_annotate)
        self._uno_created = 0
        self._uno_failures: list[
            BaseException
        ] = []  # of supervised tasks: the base class does not know these
        self._uno_host: asyncio.Task[Any] | None = None
        self._uno_phase = _NEW
        self._uno_cancelled = False  # cancel() was called
        self._uno_aborted = False  # the supervised tasks were told to end
        self._uno_cancelled_host = False  # cancel() cancelled the body, and __aexit__ has to take that back
        self._uno_stale = 0  # cancellations of the host on entry that are history
        self._uno_uses_base_cancel = GROUP_HAS_CANCEL and cancel_on_error

    @property
    def name(self) -> str:
        """The group's name."""
        return self._uno_name

    @property
    def host_task(self) -> asyncio.Task[Any] | None:
        """The task that is inside the group's block; None before it is entered and after it is left."""
        return self._uno_host

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks of the group, oldest first; finished ones as far as `history` goes."""
        return self._uno_history.all

    @property
    def active_tasks(self) -> list[asyncio.Task[Any]]:
        """The unfinished tasks, oldest first."""
        return self._uno_history.active

    @property
    def completed_tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks that ran to their end, with a result or an error, as far as `history` goes."""
        return self._uno_history.completed

    @property
    def cancelled_tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks that ended by being cancelled, oldest first, as far as `history` goes."""
        return self._uno_history.cancelled

    @property
    def failed_tasks(self) -> list[asyncio.Task[Any]]:
        """Those of `completed_tasks` that raised an error."""
        return self._uno_history.failed

    def __repr__(self) -> str:
        return f"<TaskGroup {self._uno_name!r} {_PHASES[self._uno_phase]} active={len(self.active_tasks)}>"

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._uno_host = host = asyncio.current_task()
        assert host is not None  # the base class has checked it
        if FAILED_GROUP_CANCELS_HOST:  # pragma: no branch - always true on 3.11 and 3.12, never later
            self._uno_stale = host.cancelling() - has_pending_cancellation(host)
        self._uno_phase = _ENTERED
        if self._uno_cancelled and not self._uno_uses_base_cancel:
            self._uno_cancelled = False
            self.cancel()
        return self

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **kwargs: Any,
    ) -> asyncio.Task[T]:
        """Start a task in the group.

        Must be called while the group is open, in the thread of its event loop.

        Args:
            coro: what the task runs. It is closed if no task can be started.
            name: the task's name; by default the group's name and the task's number.
            context: the task's context; by default a copy of the current one.
            **kwargs: passed on to the event loop's `create_task`, such as `eager_start` from Python 3.14 on.

        Returns:
            The task. The group keeps it alive until it is done.

        Raises:
            RuntimeError: the group was not entered, is shutting down, or was left.
            TypeError: `coro` is no coroutine, or a keyword is unknown to this Python.
        """
        if name is None:
            name = f"{self._uno_name}/{self._uno_created}"
        self._uno_created += 1
        if context is not None:
            kwargs["context"] = context
        task: asyncio.Task[T]
        try:
            if self._uno_supervises:
                task = self._uno_create_supervised(coro, name, kwargs)
            else:
                task = super().create_task(coro, name=name, **kwargs)
        except BaseException as exc:
            if asyncio.iscoroutine(coro):  # 3.11 and 3.12 leave it open: "coroutine was never awaited"
                coro.close()
            if isinstance(exc, RuntimeError) and (refusal := self._uno_refusal()) is not None:
                raise RuntimeError(refusal) from None
            raise
        self._uno_history.add(task)
        if self._uno_cancelled and not self._uno_uses_base_cancel and not task.done():
            task.cancel()  # it ran eagerly, and the group did not know it yet (python/cpython#155418)
        return task

    def _uno_create_supervised(self, coro: Any, name: str, kwargs: dict[str, Any]) -> asyncio.Task[Any]:
        # As in the base class, tasks may start tasks while the host waits, but not after all of them have
        # ended.
        if self._uno_phase in (_NEW, _LEFT) or self._uno_aborted or self._uno_cancelled:
            raise RuntimeError
        task = asyncio.get_running_loop().create_task(coro, name=name, **kwargs)
        task.add_done_callback(self._uno_on_supervised_done)
        return task

    def _uno_on_supervised_done(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or (exc := task.exception()) is None:
            return
        self._uno_failures.append(exc)
        self._uno_annotate(task)
        if isinstance(exc, (SystemExit, KeyboardInterrupt)):  # the process is to end: nothing goes on
            self._uno_abort()

    def _uno_refusal(self) -> str | None:
        """Say why the group takes no task, if it takes none."""
        finished = self._uno_phase == _LEFT or (self._uno_phase == _EXITING and not self.active_tasks)
        if self._uno_phase == _ENTERED and not self._uno_cancelled and not self._uno_is_aborting():
            return None
        return compose_refusal(repr(self), entered=self._uno_phase != _NEW, finished=finished)

    # From 3.15 on the base class returns True; typeshed says None.
    async def __aexit__(  # type: ignore[override]
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        host = self._uno_host
        assert host is not None
        self._uno_phase = _EXITING
        try:
            ended_by_us = False
            if self._uno_cancelled_host:
                exc = await self._uno_take_back_cancellation(host, exc)
                ended_by_us = exc is None
            before_waiting = host.cancelling()
            if self._uno_supervises:
                exc = await self._uno_wait_for_supervised(exc)
            suppressed = await self._uno_leave_base(host, exc)
            self._uno_raise_failures()
            if self._uno_cancelled and not self._uno_uses_base_cancel and host.cancelling() > before_waiting:
                # From outside, while we waited for cancelled tasks: before 3.15 the base class drops it
                # (python/cpython#155433).
                raise asyncio.CancelledError
            return True if ended_by_us else suppressed
        except BaseExceptionGroup as group:
            for task in self._uno_history.all:
                self._uno_annotate(task)
            self._uno_keep_cancellation_pending(host)
            if self._uno_failures and not any(error in self._uno_failures for error in group.exceptions):
                self._uno_raise_failures(group.exceptions)  # the body failed as well
            raise
        except asyncio.CancelledError:
            if self._uno_failures:  # errors win over a cancellation, which stays pending, as in asyncio
                self._uno_keep_cancellation_pending(host)
                self._uno_raise_failures()
            raise
        finally:
            self._uno_phase = _LEFT
            self._uno_host = None
            self._uno_failures = []
            exc = None  # exceptions keep frames alive, and this frame would keep the exceptions

    async def _uno_take_back_cancellation(
        self, host: asyncio.Task[Any], exc: BaseException | None
    ) -> BaseException | None:
        """Take back the cancellation of the body by cancel(); return what else the body raised."""
        self._uno_cancelled_host = False
        left = host.uncancel()
        if isinstance(exc, asyncio.CancelledError):
            return exc if left > self._uno_stale else None
        # The body ended before it noticed. 3.11 and 3.12 deliver the cancellation nevertheless: now.
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as late:
            if host.cancelling() > self._uno_stale:  # there was one from outside as well
                if exc is None:
                    return late
                self._uno_keep_cancellation_pending(host)
        return exc

    async def _uno_wait_for_supervised(self, exc: BaseException | None) -> BaseException | None:
        """Wait for the supervised tasks; return what the body raised, or the cancellation of the wait."""
        if exc is not None:
            self._uno_abort()
        while True:
            try:
                if pending := self.active_tasks:
                    await asyncio.wait(pending)
                else:
                    await asyncio.sleep(0)  # the last done-callbacks
                    return exc
            except asyncio.CancelledError as cancelled:
                exc = cancelled if exc is None else exc
                self._uno_abort()

    async def _uno_leave_base(self, host: asyncio.Task[Any], exc: BaseException | None) -> bool | None:
        known = is_host_cancelled_by_group(self)  # then the base class takes it back itself
        try:
            inherited: Any = super()
            et, tb = (None, None) if exc is None else (type(exc), exc.__traceback__)
            suppressed: bool | None = await inherited.__aexit__(et, exc, tb)
            return suppressed
        finally:
            exc = tb = None
            if FAILED_GROUP_CANCELS_HOST and is_host_cancelled_by_group(self) and not known:
                host.uncancel()

    def _uno_raise_failures(self, others: tuple[BaseException, ...] = ()) -> None:
        """Raise the failures of supervised tasks, if any, together with the given ones."""
        if not self._uno_failures:
            return
        for failure in self._uno_failures:
            if isinstance(failure, (SystemExit, KeyboardInterrupt)):
                raise failure
        raise BaseExceptionGroup(
            f"unhandled errors in {self._uno_name}", [*others, *self._uno_failures]
        ) from None

    def _uno_keep_cancellation_pending(self, host: asyncio.Task[Any]) -> None:
        """Have a cancellation from outside, over which errors have priority, delivered at the next await."""
        if host.cancelling() > self._uno_stale:
            host.uncancel()
            host.cancel()

    def _uno_annotate(self, task: asyncio.Task[Any]) -> None:
        if task.done() and not task.cancelled() and (exc := task.exception()) is not None:
            add_note_once(exc, f"in task {task.get_name()!r} of {self._uno_name}")

    def cancel(self) -> None:
        """End the group early: cancel its tasks and the rest of its body.

        Leaving the block then raises no `CancelledError`, unless the host was cancelled from outside as well;
        errors raised meanwhile are raised as ever. Before the group is entered: takes effect on entry. Again,
        while the group is ending, or after it was left: does nothing. The semantics are those of
        `asyncio.TaskGroup.cancel` of Python 3.15, on every Python.

        Must be called in the thread of the group's event loop.
        """
        if self._uno_uses_base_cancel:  # pragma: no cover - Python 3.15 and newer, where the tests cover it
            self._uno_cancelled = self._uno_phase != _LEFT  # the base class calls this again on entry
            inherited: Any = super()
            inherited.cancel()
            return
        if self._uno_cancelled or self._uno_phase == _LEFT:
            return
        if self._uno_phase == _NEW:
            self._uno_cancelled = True
            return
        if self._uno_is_aborting():
            return
        self._uno_cancelled = True
        self._uno_abort()
        if self._uno_phase == _ENTERED and self._uno_host is not None:
            self._uno_cancelled_host = True
            self._uno_host.cancel()

    async def cancel_all(self, msg: object = None) -> None:
        """Cancel the unfinished tasks and wait until they have ended; the group stays open.

        The calling task is spared if it is one of them. Must be called in the group's event loop.

        Args:
            msg: handed to `asyncio.Task.cancel`.

        Raises:
            asyncio.CancelledError: the caller was cancelled while it waited.
        """
        caller = asyncio.current_task()
        tasks = [task for task in self._uno_history.all if not task.done() and task is not caller]
        for task in tasks:
            task.cancel(msg)
        if tasks:
            await asyncio.wait(tasks)

    def _uno_is_aborting(self) -> bool:
        return self._uno_aborted if self._uno_supervises else is_group_aborting(self)

    def _uno_abort(self) -> None:
        """Tell the tasks to end; once, because a second cancel() would break into their clean-up."""
        if self._uno_is_aborting():
            return
        if not self._uno_supervises:
            abort_group(self)
            return
        self._uno_aborted = True
        for task in self.active_tasks:
            task.cancel()
