"""Ending everything that a manager owns, in order, whatever goes wrong.

The order is: a start-up that is still going on, shutdown hooks (newest first), tasks and groups, resources
(newest first). Each step is attempted whatever became of the ones before, and its errors are collected.

**One task does it.** It is nobody's but the shutdown's: callers merely wait for it. A caller that is
cancelled goes on waiting and delivers the cancellation at the end; cancelled twice, it hurries the shutdown.
What cancels the task itself (`asyncio.run` cancels every task at the end) hurries it too: no wait in it can
be broken off, see `BoundedWait`.

**Nobody waits for himself.** A hook or closer that asks for a shutdown, directly or through tasks that it
starts, is part of this one: a context variable says so, and the call returns at once. A managed task that
calls `shutdown()`, or begins to call it in its clean-up, is not waited for, nor is a task that awaits such a
one, nor the host of a managed group in which one runs.

**No step starves the next.** A step that hangs gets at most what is left until the deadline less a reserve
for the following steps: the time that closing one resource may take, or half of what is left if that is less.

**Each task is cancelled once.** A second cancellation would break into its clean-up. The tasks of a group are
left to its host if that is being cancelled anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextvars import Context, ContextVar
from typing import Any

from pytest_uno.core.asyncio_internals import peek_exception
from pytest_uno.core.bounded_wait import BoundedWait
from pytest_uno.core.errors import TaskLeakError, UnoError, compose_message
from pytest_uno.core.managed_tasks import ManagedTasks
from pytest_uno.core.resource_registry import ResourceRegistry
from pytest_uno.core.task_location import describe_task
from pytest_uno.core.uninterrupted import add_note_once

__all__ = ["Shutdown"]

_shutdowns_around: ContextVar[tuple[Shutdown, ...]] = ContextVar("pytest_uno_shutdowns_around", default=())


class Shutdown:
    """The one shutdown of one manager.

    Args:
        owner: the name of the manager, for messages.
        tasks: its tasks and groups.
        resources: its resources.
        hooks: its shutdown hooks, in the order of registration; emptied.
        start_up: the task that starts the manager up, if that may still be going on.
        context: what hooks and closers run in, a copy that is ours.
        timeout: seconds for everything together.
        close_timeout: seconds that closing one resource may take, for the reserve.
        grace: seconds that tasks get to end by themselves before they are cancelled.
        hurried: begin without any time.
        on_end: called with the errors, as soon as everything was attempted.
    """

    def __init__(
        self,
        *,
        owner: str,
        tasks: ManagedTasks,
        resources: ResourceRegistry,
        hooks: list[Callable[[], Any]],
        start_up: asyncio.Task[Any] | None,
        context: Context,
        timeout: float,
        close_timeout: float,
        grace: float,
        hurried: bool,
        on_end: Callable[[list[Exception]], object],
    ) -> None:
        self._errors: list[Exception] = []
        self._ended = False
        self._on_end = on_end
        self._owner = owner
        self._tasks = tasks
        self._resources = resources
        self._hooks = hooks
        self._start_up = start_up
        self._close_timeout = close_timeout
        self._grace = grace
        self._waiting_for_us: set[asyncio.Task[Any]] = set()
        self._wait = BoundedWait(timeout, hurried=hurried)
        self._context = context
        context.run(lambda: _shutdowns_around.set((*_shutdowns_around.get(), self)))
        self._task: asyncio.Task[None] | None = None

    def is_around_caller(self) -> bool:
        """Whether the calling code is a hook or closer of this shutdown, or was started by one."""
        return any(shutdown is self for shutdown in _shutdowns_around.get())

    def hurry(self) -> None:
        """Wait no more; everything is still attempted."""
        self._wait.hurry()

    async def wait_for_end(self) -> asyncio.CancelledError | None:
        """Begin the shutdown if it has not begun, and wait for its end.

        Returns:
            The cancellation that the calling task was given meanwhile, which the caller must raise.
        """
        loop = asyncio.get_running_loop()
        caller = asyncio.current_task()
        assert caller is not None  # coroutines of asyncio run in tasks
        self._excuse(caller)
        cancelled: asyncio.CancelledError | None = None
        while not self._ended:
            if (
                self._task is None or self._task.done()
            ):  # done: cancelled before its first step, so nothing was done
                name = f"{self._owner}/shutdown"
                self._task = loop.create_task(self._run(), name=name, context=self._context)
            try:
                await asyncio.wait((self._task,))
            except asyncio.CancelledError as exc:
                if cancelled is not None:
                    self.hurry()
                cancelled = exc
        return cancelled

    async def _run(self) -> None:
        try:
            await self._end_start_up()
            await self._call_hooks()
            await self._end_tasks()
            self._collect_failures()
            await self._close_resources()
            self._collect_failures()
        finally:
            self._ended = True
            self._on_end(self._errors)

    # ------------------------------------------------------------------------------------------ steps

    async def _end_start_up(self) -> None:
        task = self._start_up
        if task is None or task.done() or task in self._waiting_for_us:
            return
        self._cancel_and_look(task.cancel, (task,))
        await self._wait.wait((task,), self._spare(reserve=True))
        if task.done():
            if peek_exception(task) is not None:
                self._add_error(task.exception())
        elif task not in self._waiting_for_us:
            self._add_leak([task])

    async def _call_hooks(self) -> None:
        while self._hooks:
            hook = self._hooks.pop()
            what = f"shutdown hook {getattr(hook, '__qualname__', repr(hook))} of {self._owner!r}"
            reserve = bool(self._hooks or self._tasks.list_unfinished() or len(self._resources))
            error = await self._wait.call(hook, what, self._spare(reserve=reserve))
            if error is not None:
                self._errors.append(error)

    async def _end_tasks(self) -> None:
        if self._grace > 0:
            await self._wait.wait(self._list_ending(), self._grace)
        ending = self._list_ending()
        self._cancel(ending)
        excused = self._find_excused()
        await self._wait.wait(
            (task for task in ending if task not in excused), self._spare(reserve=len(self._resources) > 0)
        )
        excused = self._find_excused()
        stubborn = [task for task in ending if not task.done() and task not in excused]
        if stubborn:
            self._add_leak(stubborn)

    async def _close_resources(self) -> None:
        while (record := self._resources.take_newest()) is not None:
            error = await self._resources.close(record, self._wait)
            if error is not None:
                self._errors.append(error)

    def _collect_failures(self) -> None:
        for task in self._tasks.take_failed():
            exception = task.exception()
            assert exception is not None  # or it would not be among the failed
            add_note_once(exception, f"in task {task.get_name()!r} of {self._owner!r}")
            self._add_error(exception)

    # ------------------------------------------------------------------------------------------ tasks

    def _list_ending(self) -> list[asyncio.Task[Any]]:
        excused = self._find_excused()
        return [task for task in self._tasks.list_unfinished() if task not in excused]

    def _cancel(self, ending: list[asyncio.Task[Any]]) -> None:
        excused = self._find_excused()
        hosts = set(ending)
        for task in ending:
            if task in self._tasks.running:
                self._cancel_and_look(task.cancel, (task,))
        for group in list(self._tasks.groups):
            members = group.active_tasks
            if group.host_task in excused or any(task in excused for task in members):
                for task in members:
                    if task not in excused:
                        self._cancel_and_look(task.cancel, (task,))
            elif group.host_task not in hosts:
                self._cancel_and_look(group.cancel, members)

    def _cancel_and_look(self, cancel: Callable[[], object], tasks: Iterable[asyncio.Task[Any]]) -> None:
        # A cancellation goes at once to what a task awaits. If that is, at last, a task that waits for us,
        # then all of them do.
        counts = {waiting: waiting.cancelling() for waiting in self._waiting_for_us}
        cancel()
        if any(waiting.cancelling() > count for waiting, count in counts.items()):
            for task in tasks:
                self._excuse(task)

    def _find_excused(self) -> set[asyncio.Task[Any]]:
        """Return the tasks that wait for us, and the hosts of groups that such tasks run in."""
        excused = set(self._waiting_for_us)
        grown = True
        while grown:
            hosts = {
                group.host_task
                for group in self._tasks.groups
                if group.host_task is not None and any(task in excused for task in group.active_tasks)
            }
            grown = not hosts <= excused
            excused |= hosts
        return excused

    def _excuse(self, waiting: asyncio.Task[Any]) -> None:
        self._waiting_for_us.add(waiting)
        for task in self._find_excused():
            self._wait.excuse(task)

    # ------------------------------------------------------------------------------------------ errors, time

    def _spare(self, *, reserve: bool) -> float:
        remaining = self._wait.remaining
        return remaining - min(self._close_timeout, remaining / 2) if reserve else remaining

    def _add_error(self, exception: BaseException | None) -> None:
        if isinstance(exception, Exception):
            self._errors.append(exception)
        elif not isinstance(exception, KeyboardInterrupt | SystemExit):  # these came out of the loop already
            error = UnoError(f"a task of {self._owner!r} raised {exception!r}")
            error.__cause__ = exception
            self._errors.append(error)

    def _add_leak(self, tasks: list[asyncio.Task[Any]]) -> None:
        number = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}"
        listed = "".join(f"\n    {describe_task(task)}" for task in tasks)
        self._errors.append(
            TaskLeakError(
                compose_message(
                    f"{number} of manager {self._owner!r} did not end although cancelled:{listed}",
                    cause="swallowing CancelledError, or awaiting a task that does",
                    fix="let CancelledError pass, at the latest after cleaning up",
                    anchor="stubborn-task",
                ),
                tasks,
            )
        )
