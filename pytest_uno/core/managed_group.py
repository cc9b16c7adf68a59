"""The task groups that a manager hands out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import Context
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_uno.core.task_group import TaskGroup

if TYPE_CHECKING:
    from typing import Self

    from pytest_uno.core.async_manager import AsyncManager
    from pytest_uno.core.managed_tasks import ManagedTasks

__all__ = ["ManagedGroup"]

T = TypeVar("T")


class ManagedGroup(TaskGroup):
    """A task group that its manager knows of while it is open, and ends at shutdown.

    Args:
        manager: takes the group on, or refuses when it is shutting down.
        tasks: where the manager lists open groups.
        name: see `TaskGroup`.
        cancel_on_error: see `TaskGroup`.
        history: see `TaskGroup`.
    """

    def __init__(
        self,
        manager: AsyncManager,
        tasks: ManagedTasks,
        name: str | None = None,
        *,
        cancel_on_error: bool = True,
        history: int | None = None,
    ) -> None:
        super().__init__(name, cancel_on_error=cancel_on_error, history=history)
        self._uno_manager = manager
        self._uno_managed = tasks

    async def __aenter__(self) -> Self:
        self._uno_manager.admit()
        self._uno_manager.bind()
        await super().__aenter__()
        self._uno_managed.groups[self] = None
        return self

    async def __aexit__(  # type: ignore[override]  # as in TaskGroup
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        try:
            return await super().__aexit__(et, exc, tb)
        finally:
            self._uno_managed.groups.pop(self, None)
            exc = None  # this frame would keep the exception, which keeps the frame

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **kwargs: Any,
    ) -> asyncio.Task[T]:
        """Start a task in the group; see `TaskGroup.create_task`.

        Raises:
            ManagerClosedError: the manager is shutting down; the coroutine is closed.
        """
        try:
            self._uno_manager.admit()
        except RuntimeError:
            coro.close()
            raise
        if context is None:
            context = self._uno_manager.make_context()
        return super().create_task(coro, name=name, context=context, **kwargs)
