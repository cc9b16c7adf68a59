"""A base for objects that are opened and closed asynchronously."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING

from pytest_uno.core.async_manager import get_async_manager
from pytest_uno.core.errors import compose_message
from pytest_uno.core.resource_observer import notify_closed, notify_opened
from pytest_uno.core.uninterrupted import add_note_once, await_uninterrupted

if TYPE_CHECKING:
    from typing import Self

    from pytest_uno.core.async_manager import AsyncManager

__all__ = ["AsyncResource"]


class AsyncResource:
    """Base for resources with an asynchronous opening and closing.

    Override `_initialize` and `_cleanup`; use the object in an `async with`, or hand it to
    `AsyncManager.enter_resource`. While it is open it is listed in `open_resources` of the manager that was
    current when it was opened, and a test that leaves it open fails.

    `_cleanup` runs at most once, to its end even if the closing task is cancelled, and also after an opening
    that failed or was cancelled: it must cope with a half-opened resource. A closed resource cannot be opened
    again.

    Must be opened and closed in one event loop; the tasks may differ, and may try at the same time.

    Args:
        name: names the resource in errors and leak reports; by default the class's name.

    Example:
        >>> class Mailbox(AsyncResource):
        ...     async def _initialize(self):
        ...         self.reader, self.writer = await asyncio.open_connection("localhost", 25)
        ...
        ...     async def _cleanup(self):
        ...         if hasattr(self, "writer"):
        ...             self.writer.close()
        ...             await self.writer.wait_closed()
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = type(self).__name__ if name is None else name
        self._uno_lock = asyncio.Lock()
        self._uno_manager: AsyncManager | None = None  # while open
        self._uno_closed = False

    async def _initialize(self) -> None:
        """Open the resource: override it. What it raises closes the resource and is raised on."""

    async def _cleanup(self) -> None:
        """Close the resource, however far it was opened: override it. What it raises is raised on."""

    @property
    def is_open(self) -> bool:
        """The resource was opened and not closed yet."""
        return self._uno_manager is not None

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed" if self._uno_closed else "new"
        return f"<{type(self).__name__} {self.name!r} {state}>"

    async def __aenter__(self) -> Self:
        """Open the resource, unless it is open already.

        Raises:
            RuntimeError: it was closed.
            Exception: what `_initialize` raised; if `_cleanup` failed then as well, that is a note on it.
        """
        async with self._uno_lock:
            if self._uno_closed:
                raise RuntimeError(
                    compose_message(
                        f"{self!r} cannot be opened again",
                        fix=f"make a new {type(self).__name__}",
                        anchor="resource-closed",
                    )
                )
            if self._uno_manager is None:
                manager = get_async_manager()  # first, because it may refuse
                await self._uno_open()
                self._uno_manager = manager
                manager.note_opened(self)
                notify_opened(self, name=self.name, manager_name=manager.name)
        return self

    async def _uno_open(self) -> None:
        try:
            await self._initialize()
        except BaseException as exc:
            self._uno_closed = True
            try:
                await await_uninterrupted(self._cleanup())
            except Exception as second:
                add_note_once(exc, f"_cleanup() of {self.name!r} failed as well: {second!r}")
            raise

    async def __aexit__(
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Close the resource, unless it is closed already.

        Raises:
            Exception: what `_cleanup` raised. If the block is being cancelled, that becomes a note on the
                cancellation instead and goes to the loop's exception handler: the cancellation must not get
                lost.
        """
        try:
            await self.close()
        except Exception as failure:
            if exc is None or isinstance(exc, Exception):
                raise
            add_note_once(exc, f"_cleanup() of {self.name!r} failed: {failure!r}")
            asyncio.get_running_loop().call_exception_handler(
                {
                    "message": f"closing {self!r} failed while its task was being cancelled",
                    "exception": failure,
                }
            )

    async def close(self) -> None:
        """Close the resource; again: does nothing. A resource that was never opened can no longer be.

        Raises:
            Exception: what `_cleanup` raised.
            asyncio.CancelledError: the caller was cancelled; the resource is closed nevertheless.
        """
        async with self._uno_lock:
            manager, self._uno_manager = self._uno_manager, None
            self._uno_closed = True
            if manager is not None:
                try:
                    await await_uninterrupted(self._cleanup())
                finally:
                    manager.note_closed(self)
                    notify_closed(self)
