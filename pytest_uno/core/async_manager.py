"""The owner of tasks, task groups and resources of one event loop."""

from __future__ import annotations

import asyncio
import itertools
import logging
import weakref
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_uno.core.application import run_application
from pytest_uno.core.bounded_wait import BoundedWait
from pytest_uno.core.current_manager import as_task, current_manager, get_async_manager, use_manager
from pytest_uno.core.managed_group import ManagedGroup
from pytest_uno.core.manager_lifecycle import ManagerLifecycle
from pytest_uno.core.uninterrupted import await_uninterrupted

if TYPE_CHECKING:
    from pytest_uno.core.task_group import TaskGroup

__all__ = ["AsyncManager", "as_task", "get_async_manager", "run_application", "use_manager"]

T = TypeVar("T")

_logger = logging.getLogger("pytest_uno")
_numbers = itertools.count(1)
_get_running_loop = asyncio.get_running_loop
_set_current = current_manager.set


class AsyncManager(ManagerLifecycle):
    """Own tasks, task groups and resources of one event loop, and end them in order.

    A manager binds to the first loop that uses it and must not be used in another. It must be used in its
    loop's thread only. Most code gets the manager it belongs to from `get_async_manager()`; an application
    makes one with `run_application()` or `async with AsyncManager(...)`.

    Args:
        name: for messages and logs; by default `manager-N`.
        shutdown_timeout: seconds that a whole shutdown may take, on the loop's clock.
        close_timeout: seconds that closing one resource may take.
        on_task_error: called once with a failed task and its exception when nobody awaits it, one pass of the
            loop after it failed; by default the failure is logged. The failure is raised at shutdown all the
            same, unless somebody has retrieved it by then, be it this function with `task.exception()`.
        logger: what failures are logged with; by default the logger `pytest_uno`.

    Attributes:
        name: the manager's name.
        session_factory: what `transaction_manager()` without arguments opens sessions with; None until you
            set it.
        stop_signal: the signal that asked for the shutdown, if one did.

    Example:
        >>> async def main():
        ...     async with AsyncManager("orders") as manager:
        ...         client = await manager.register_resource(Client())
        ...         manager.create_task(poll(client))
        ...         await serve()
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        shutdown_timeout: float = 30.0,
        close_timeout: float = 10.0,
        on_task_error: Callable[[asyncio.Task[Any], BaseException], object] | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        super().__init__(
            f"manager-{next(_numbers)}" if name is None else name,
            shutdown_timeout,
            close_timeout,
            on_task_error or self._log_task_error,
        )
        self.session_factory: Callable[..., Any] | None = None
        self._logger = logger or _logger
        self._open: weakref.WeakSet[Any] | None = None
        self._running = self._managed.running
        self._task_done = self._managed.task_done

    # ------------------------------------------------------------------------------------------ looking

    @property
    def tasks(self) -> frozenset[asyncio.Task[Any]]:
        """The unfinished tasks: those of `create_task()` and those of open groups."""
        return frozenset(self._managed.list_unfinished())

    @property
    def failures(self) -> tuple[asyncio.Task[Any], ...]:
        """The failed tasks whose exception nobody has seen, oldest first (at most the last 1000)."""
        return tuple(self._managed.list_failed())

    @property
    def resources(self) -> Mapping[str, Any]:
        """The registered and entered resources by name, oldest first: a read-only copy."""
        return MappingProxyType(self._resources.list_open())

    @property
    def open_resources(self) -> tuple[Any, ...]:
        """The `AsyncResource` objects that were opened under this manager and are still open."""
        return () if self._open is None else tuple(self._open)

    def __repr__(self) -> str:
        return (
            f"<AsyncManager {self.name!r} {self.state}"
            f" tasks={len(self._managed.list_unfinished())} resources={len(self._resources)}>"
        )

    # ------------------------------------------------------------------------------------------ tasks

    def create_task(
        self, coro: Coroutine[Any, Any, T], name: str | None = None, **kwargs: Any
    ) -> asyncio.Task[T]:
        """Start a task that this manager keeps alive, and ends at shutdown.

        In the task this manager is the current one, except in a `context` that you pass.

        Args:
            coro: the coroutine.
            name: the task's name.
            **kwargs: what else `loop.create_task()` of this Python takes, as `context`.

        Raises:
            ManagerClosedError: the manager is shutting down or shut down; the coroutine is closed.
            RuntimeError: no event loop is running, or one that the manager does not belong to; likewise.
        """
        # The cost of this call is measured against that of asyncio.create_task: nothing here is called in
        # vain.
        try:
            loop = _get_running_loop()
            if loop is not self._open_loop:
                self.admit()
                self.bind()
            if current_manager.get() is not self and "context" not in kwargs:
                # Setting the variable here and setting it back would cost twice as much.
                context = copy_context()
                context.run(_set_current, self)
                if kwargs or loop.get_task_factory() is not None:
                    # A task factory may take no context (none had one before 3.11) and no name (loops set it
                    # afterwards before 3.14).
                    if name is not None:
                        kwargs["name"] = name
                    create_task: Callable[..., asyncio.Task[Any]] = loop.create_task
                    task = context.run(create_task, coro, **kwargs)
                else:
                    task = loop.create_task(coro, name=name, context=context)
            elif kwargs:
                task = loop.create_task(coro, name=name, **kwargs)
            elif name is None:
                task = loop.create_task(coro)
            else:
                task = loop.create_task(coro, name=name)
        except BaseException:
            if asyncio.iscoroutine(coro):
                coro.close()  # or it would be reported as never awaited, which is not what went wrong
            raise
        self._running[task] = None
        task.add_done_callback(self._task_done)
        return task

    def task_group(
        self, name: str | None = None, *, cancel_on_error: bool = True, history: int | None = None
    ) -> TaskGroup:
        """Make a task group that a shutdown ends; see `TaskGroup` for the arguments.

        Returns:
            The group, for `async with`; entering it raises `ManagerClosedError` when the manager is shutting
            down.
        """
        return ManagedGroup(self, self._managed, name, cancel_on_error=cancel_on_error, history=history)

    def _log_task_error(self, task: asyncio.Task[Any], exception: BaseException) -> None:
        self._logger.error(
            "task %r of %s failed and nobody awaits it", task.get_name(), self.name, exc_info=exception
        )

    # ------------------------------------------------------------------------------------------ resources

    async def register_resource(
        self,
        resource: T,
        name: str | None = None,
        *,
        close: Callable[[], Any] | None = None,
        timeout: float | None = None,
    ) -> T:
        """Have an open resource closed at shutdown. The same object again is a no-op.

        Args:
            resource: the resource.
            name: a unique name; by default that of its type, with a number if need be.
            close: closes it, a function without parameters, sync or async; by default the first that it has
                of `aclose`, `close` (and `wait_closed`), `shutdown`, `dispose`, `stop`, `__aexit__`,
                `__exit__`.
            timeout: seconds that closing may take; by default `close_timeout`.

        Returns:
            The resource.

        Raises:
            TypeError: it cannot be closed.
            ValueError: the name is taken, or the object is registered under another name.
            ManagerClosedError: the manager is shutting down or shut down.
        """
        self.admit()
        self.bind()
        self._resources.register(resource, name, close, timeout)
        return resource

    async def enter_resource(
        self, cm: AbstractAsyncContextManager[T], name: str | None = None, *, timeout: float | None = None
    ) -> T:
        """Enter an async context manager that is left at shutdown.

        It is entered **and** left in one task made for it, as cancel scopes and task groups within it
        require.

        Args:
            cm: the context manager.
            name: a unique name; by default that of its type, with a number if need be.
            timeout: seconds that leaving may take; by default `close_timeout`.

        Returns:
            What entering it returned.

        Raises:
            ValueError: the name is taken.
            ManagerClosedError: the manager is shutting down or shut down, or was shut down meanwhile.
            ResourceError: entering was cancelled from within.
            Exception: what entering raised.
        """
        self.admit()
        self.bind()
        report = self._managed.report_if_unseen
        return await self._resources.enter(cm, name, timeout, context=self.make_context(), on_end=report)

    async def unregister_resource(self, resource: Any) -> bool:
        """Give a registered resource back to the caller, who closes it from now on.

        Args:
            resource: the resource or its name.

        Returns:
            Whether it was registered.

        Raises:
            RuntimeError: it was entered with `enter_resource()`.
        """
        return self._resources.unregister(resource)

    async def close_resource(self, resource: Any) -> None:
        """Close a resource now. It is closed to its end although the caller is cancelled meanwhile.

        Args:
            resource: the resource or its name.

        Raises:
            LookupError: it is not registered.
            TimeoutError: it was not closed in time.
            Exception: what closing raised.
        """
        self.bind()
        record = self._resources.take(resource)
        error = await await_uninterrupted(self._resources.close(record, BoundedWait()))
        if error is not None:
            raise error

    def note_opened(self, resource: Any) -> None:
        """Take note of an open `AsyncResource`."""
        self.bind()
        if self._open is None:
            self._open = weakref.WeakSet()
        self._open.add(resource)

    def note_closed(self, resource: Any) -> None:
        """Take note that an `AsyncResource` was closed."""
        if self._open is not None:
            self._open.discard(resource)
