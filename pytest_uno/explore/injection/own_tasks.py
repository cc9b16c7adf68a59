"""The tasks that an operation starts, itself or through others: they carry its mark in their context.

What others start meanwhile, as a server the task of a connection, has no mark.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeAlias

from pytest_uno.leaks.asyncio_internals import task_context

__all__ = ["AnyTask", "OwnTasks"]

AnyTask: TypeAlias = asyncio.Task[Any]

_RUN: contextvars.ContextVar[object] = contextvars.ContextVar("pytest_uno_injection_run")

_TELLS_CONTEXT = hasattr(asyncio.Task, "get_context")
"""3.12 and newer."""


class OwnTasks:
    """The tasks of one run of an operation; must be used in the running loop's thread.

    Attributes:
        context: the context of the operation: a copy of the caller's.
    """

    def __init__(self) -> None:
        self.context = contextvars.copy_context()
        self.context.run(_RUN.set, self)
        self._seen: list[AnyTask] = []
        self._task: AnyTask | None = None

    def watch(self) -> contextlib.AbstractContextManager[None]:
        """See the tasks that are made in a block; must be around `start` and the operation's end."""
        return contextlib.nullcontext() if _TELLS_CONTEXT else self._see_made()

    def start(self, coroutine: Coroutine[Any, Any, Any], name: str) -> AnyTask:
        """Start the operation.

        Args:
            coroutine: its coroutine.
            name: the name of its task.
        """
        self._task = asyncio.get_running_loop().create_task(coroutine, name=name, context=self.context)
        return self._task

    def left(self) -> list[AnyTask]:
        """Return the operation's tasks that are not done, without the one that it was itself, by their names."""
        own = filter(self._is_own, asyncio.all_tasks()) if _TELLS_CONTEXT else iter(self._seen)
        return sorted((task for task in own if task is not self._task and not task.done()), key=_name_of)

    def forget(self) -> None:
        """Let go of the tasks, and of what they have raised."""
        self._seen.clear()
        self._task = None

    def _is_own(self, task: AnyTask) -> bool:
        context = task_context(task)
        return context is not None and context.get(_RUN) is self

    @contextlib.contextmanager  # pragma: no cover - 3.11 only
    def _see_made(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        loop.set_task_factory(self._wrap(before))
        try:
            yield
        finally:
            loop.set_task_factory(before)

    def _wrap(self, factory: Callable[..., Any] | None) -> Callable[..., Any]:  # pragma: no cover - 3.11 only
        def make(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **kwargs: Any) -> Any:
            task = (
                asyncio.Task(coroutine, loop=loop, **kwargs)
                if factory is None
                else factory(loop, coroutine, **kwargs)
            )
            if _RUN.get(None) is self:
                self._seen.append(task)
            return task

        return make


def _name_of(task: AnyTask) -> str:
    return task.get_name()
