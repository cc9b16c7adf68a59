"""The life of a manager: the loop that it binds to, its hooks, its states, its start and its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextvars import Context, Token, copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from pytest_uno.core.closers import call_and_await
from pytest_uno.core.current_manager import current_manager, restore_manager
from pytest_uno.core.errors import ManagerClosedError, compose_message
from pytest_uno.core.managed_tasks import ManagedTasks
from pytest_uno.core.resource_registry import ResourceRegistry
from pytest_uno.core.shutdown import Shutdown
from pytest_uno.core.uninterrupted import add_note_once

if TYPE_CHECKING:
    from typing import Self

    from pytest_uno.core.async_manager import AsyncManager

__all__ = ["ManagerLifecycle"]

HookT = TypeVar("HookT", bound=Callable[[], Any])

_NEW, _RUNNING, _CLOSING, _CLOSED = range(4)
_STATES: tuple[Literal["new", "running", "closing", "closed"], ...] = ("new", "running", "closing", "closed")


class ManagerLifecycle:
    """The half of `AsyncManager`, its only subclass, that starts and ends.

    Args:
        name: see `AsyncManager`.
        shutdown_timeout: see `AsyncManager`.
        close_timeout: see `AsyncManager`.
        report: called with a failed task and its exception when nobody awaits it.
    """

    # Every test makes a manager, so what it may do without is made when it is needed.

    def __init__(
        self,
        name: str,
        shutdown_timeout: float,
        close_timeout: float,
        report: Callable[[asyncio.Task[Any], BaseException], object],
    ) -> None:
        self.name = name
        self.stop_signal: signal.Signals | None = None
        self._shutdown_timeout = shutdown_timeout
        self._close_timeout = close_timeout
        self._state = _NEW
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open_loop: asyncio.AbstractEventLoop | None = (
            None  # the same, as long as tasks may be started in it
        )
        self._managed = ManagedTasks(report)
        self._resources = ResourceRegistry(name, close_timeout)
        self._startup_hooks: list[Callable[[], Any]] = []
        self._shutdown_hooks: list[Callable[[], Any]] = []
        self._errors: tuple[Exception, ...] = ()
        self._tokens: list[Token[AsyncManager | None]] = []
        self._start_lock: asyncio.Lock | None = None
        self._starter: asyncio.Task[Any] | None = None
        self._start_up: asyncio.Task[Any] | None = None
        self._shutdown: Shutdown | None = None
        self._hurried = False
        self._is_requested = False
        self._requested: asyncio.Event | None = None
        self._ended: asyncio.Event | None = None

    # ------------------------------------------------------------------------------------------ looking

    @property
    def state(self) -> Literal["new", "running", "closing", "closed"]:
        """`new` until started, `running`, `closing` from the beginning of a shutdown, `closed` after it."""
        return _STATES[self._state]

    @property
    def closed(self) -> bool:
        """Whether a shutdown has ended."""
        return self._state == _CLOSED

    @property
    def used(self) -> bool:
        """Whether there can be anything to shut down: it is bound to a loop, has hooks, or was started."""
        return self._loop is not None or bool(self._startup_hooks or self._shutdown_hooks)

    @property
    def errors(self) -> tuple[Exception, ...]:
        """What went wrong during the shutdown, in that order."""
        return self._errors

    def is_shutting_down(self) -> bool:
        """Whether a shutdown was asked for, has begun, or has ended."""
        return self._state >= _CLOSING or self._is_requested

    # ------------------------------------------------------------------------------------------ binding

    def is_usable_in(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether the manager is bound to this loop or to none."""
        return self._loop is None or self._loop is loop

    def bind(self) -> asyncio.AbstractEventLoop:
        """Bind the manager to the running loop, and return that.

        Raises:
            RuntimeError: the manager is bound to another loop, or none is running.
        """
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = self._open_loop = loop  # a shutdown binds first, so this one has not begun
        elif self._loop is not loop:
            raise RuntimeError(
                compose_message(
                    f"manager {self.name!r} was used in another event loop than the one that it belongs to",
                    cause="it outlived its loop (a global, a fixture of a wider scope), or crossed threads",
                    fix="make a manager per loop, or use `get_async_manager()`, which does",
                    anchor="manager-of-another-loop",
                )
            )
        return loop

    def admit(self) -> None:
        """Raise `ManagerClosedError` if the manager takes no more work."""
        if self._state >= _CLOSING:
            raise ManagerClosedError(
                compose_message(
                    f"manager {self.name!r} is {self.state} and takes no more work",
                    cause="something outlived its shutdown, or a hook or closer starts new work",
                    fix="start it before the shutdown, or check `manager.is_shutting_down()`",
                    anchor="manager-closed",
                )
            )

    def make_context(self) -> Context | None:
        """Return a copy of the context with this manager current; None if it is current here anyway."""
        manager = cast("AsyncManager", self)
        if current_manager.get() is manager:
            return None
        context = copy_context()
        context.run(current_manager.set, manager)
        return context

    # ------------------------------------------------------------------------------------------ starting

    def add_startup_hook(self, hook: HookT) -> HookT:
        """Have a function called when the manager starts, oldest first.

        Args:
            hook: a function without parameters, sync or async.

        Returns:
            The hook, so that this serves as a decorator.

        Raises:
            RuntimeError: the manager has already started; if it has ended, a `ManagerClosedError`.
        """
        self.admit()
        if self._state != _NEW:
            raise RuntimeError(
                compose_message(
                    f"manager {self.name!r} has already started, and would never call the hook {hook!r}",
                    fix="add it before `start()`, or call it yourself",
                    anchor="manager-already-started",
                )
            )
        self._startup_hooks.append(hook)
        return hook

    def add_shutdown_hook(self, hook: HookT) -> HookT:
        """Have a function called when the manager shuts down, newest first, before tasks and resources end.

        Args:
            hook: a function without parameters, sync or async; the manager is the current one in it.

        Returns:
            The hook, so that this serves as a decorator.

        Raises:
            ManagerClosedError: the manager is shutting down or shut down.
        """
        self.admit()
        self._shutdown_hooks.append(hook)
        return hook

    async def start(self) -> None:
        """Call the start-up hooks. Concurrent callers wait; a running manager is left alone.

        If a hook fails or the caller is cancelled, the manager is shut down, so that what was taken is
        released. Errors of that shutdown become notes and reach the loop's exception handler.

        Raises:
            ManagerClosedError: the manager is shut down, or was meanwhile.
            Exception: what a hook raised.
        """
        self.bind()
        if self._starter is asyncio.current_task():
            return  # a start-up hook that starts the manager
        if self._start_lock is None:
            self._start_lock = asyncio.Lock()
        async with self._start_lock:
            if self._state == _RUNNING:
                return
            self.admit()
            self._starter = asyncio.current_task()
            try:
                for hook in self._startup_hooks:
                    await call_and_await(hook)
                    self.admit()
            except BaseException as exc:
                await self.end(raising=exc)
                raise
            finally:
                self._starter = None
            self._state = _RUNNING

    async def __aenter__(self) -> Self:
        self._tokens.append(current_manager.set(cast("AsyncManager", self)))
        try:
            await self.start()
        except BaseException:
            self._restore_current()
            raise
        return self

    async def __aexit__(
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await self.end(raising=exc)
        finally:
            self._restore_current()
            exc = None  # this frame would keep the exception, which keeps the frame

    def _restore_current(self) -> None:
        restore_manager(self._tokens.pop(), cast("AsyncManager", self))

    # ------------------------------------------------------------------------------------------ ending

    def request_shutdown(self, stop_signal: signal.Signals | None = None) -> None:
        """Ask whoever runs the manager, as `run_application()`, to shut it down; a second request hurries.

        Returns at once. From another thread, call it through `loop.call_soon_threadsafe`.

        Args:
            stop_signal: the signal on whose behalf it is called.
        """
        if self._is_requested:
            self.hurry()
        else:
            self.stop_signal = stop_signal
            self._note_request()

    def hurry(self) -> None:
        """Have the present or coming shutdown wait no more. Everything is still attempted."""
        self._hurried = True
        if self._shutdown is not None:
            self._shutdown.hurry()

    async def wait_for_request(self) -> None:
        """Wait until a shutdown is asked for, or begins."""
        if self._requested is None:
            self._requested = asyncio.Event()
        if not self._is_requested:
            await self._requested.wait()

    async def wait_for_shutdown(self) -> None:
        """Wait until the manager is shut down, without shutting it down."""
        if self._ended is None:
            self._ended = asyncio.Event()
        if self._state != _CLOSED:
            await self._ended.wait()

    async def shutdown(self, *, timeout: float | None = None, grace: float = 0.0) -> None:
        """End everything that the manager owns: hooks, then tasks, then resources, the newest first.

        Everything is attempted before an error is raised. Once shut down, the manager stays so, and another
        call returns at once. Concurrent callers wait for the end; so does one whose task is cancelled, and is
        then cancelled. Cancelled twice, it hurries, as `hurry()` does. A hook or closer that calls this
        returns at once.

        The calling task is neither cancelled nor waited for, nor is a task waited for that awaits the calling
        one. Where such waiting cannot be seen, as through the host of a task group, it holds the shutdown up
        until its time is over; call `request_shutdown()` there.

        Args:
            timeout: seconds for everything together; by default `shutdown_timeout`.
            grace: seconds that tasks get to end by themselves before they are cancelled.

        Raises:
            ExceptionGroup: all that went wrong, in the first caller only: errors of hooks and closers,
                failures of tasks that nobody has seen, `TimeoutError`, and `TaskLeakError` for tasks that did
                not end although they were cancelled.
            RuntimeError: the manager belongs to another loop.
            asyncio.CancelledError: the caller was cancelled; the shutdown has ended, and its errors have
                reached the loop's exception handler.
        """
        await self.end(timeout=timeout, grace=grace)

    async def end(
        self, *, timeout: float | None = None, grace: float = 0.0, raising: BaseException | None = None
    ) -> None:
        """Shut down while an error is on its way out, which must stay the one that is raised.

        Args:
            timeout: see `shutdown()`.
            grace: see `shutdown()`.
            raising: the error; errors of the shutdown become notes on it.
        """
        if self._state == _CLOSED:
            return
        loop = self.bind()
        is_first = self._shutdown is None
        if self._shutdown is None:
            self._state = _CLOSING
            self._open_loop = None
            self._managed.holds_back = True
            self._note_request()
            self._shutdown = Shutdown(
                owner=self.name,
                tasks=self._managed,
                resources=self._resources,
                hooks=self._shutdown_hooks,
                start_up=self._start_up,
                context=self.make_context() or copy_context(),
                timeout=self._shutdown_timeout if timeout is None else timeout,
                close_timeout=self._close_timeout,
                grace=grace,
                hurried=self._hurried,
                on_end=self._note_end,
            )
        elif self._shutdown.is_around_caller():
            return
        cancelled = await self._shutdown.wait_for_end()
        try:
            if is_first and self._errors:
                if cancelled is None and raising is None:
                    raise ExceptionGroup(f"errors while shutting down manager {self.name!r}", self._errors)
                for error in self._errors:
                    if raising is not None:
                        add_note_once(raising, f"and while shutting down manager {self.name!r}: {error!r}")
                    loop.call_exception_handler(
                        {"message": f"error while shutting down manager {self.name!r}", "exception": error}
                    )
            if cancelled is not None:
                raise cancelled
        finally:
            cancelled = raising = None  # this frame would keep the exceptions, which keep the frame

    def set_start_up(self, task: asyncio.Task[Any]) -> None:
        """Have a shutdown first cancel this task and wait for it, if it has not ended by then."""
        self._start_up = task

    def add_final_hook(self, hook: Callable[[], Any]) -> None:
        """Add a shutdown hook although a shutdown is waiting for the start-up task to end."""
        self._shutdown_hooks.append(hook)

    def _note_request(self) -> None:
        self._is_requested = True
        if self._requested is not None:
            self._requested.set()

    def _note_end(self, errors: list[Exception]) -> None:
        self._errors = tuple(errors)
        self._state = _CLOSED
        self._managed.holds_back = False
        self._managed.keeps_failures = False
        if self._ended is not None:
            self._ended.set()
