"""The resources of one manager: their names, their order, and how each is closed.

A context manager that is entered here is entered and left by one task that does nothing else. Cancel scopes
(anyio, `asyncio.timeout`) and task groups belong to the task that entered them, and would fail or cancel the
wrong task if the shutdown, which runs in another task, left them.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from typing import Any, NoReturn, TypeVar

from pytest_uno.core.bounded_wait import BoundedWait
from pytest_uno.core.closers import find_closer
from pytest_uno.core.errors import ManagerClosedError, ResourceError, compose_message
from pytest_uno.core.resource_observer import notify_closed, notify_opened
from pytest_uno.core.uninterrupted import await_uninterrupted

__all__ = ["Resource", "ResourceRegistry"]

T = TypeVar("T")


class Resource:
    """What is known of one resource.

    Args:
        name: unique in the registry.
        value: what the user knows as the resource.
        close: a function without parameters, sync or async.
        timeout: seconds that closing may take; None: the manager's default.
        entered: it lives in a task of the registry, which alone can leave it.
    """

    __slots__ = ("close", "entered", "name", "observed", "opening", "timeout", "value")

    def __init__(
        self, name: str, value: Any, close: Callable[[], Any], timeout: float | None, *, entered: bool = False
    ) -> None:
        self.name = name
        self.value = value
        self.observed = value  # what the observer is told of
        self.close = close
        self.timeout = timeout
        self.entered = entered
        self.opening = entered


class ResourceRegistry:
    """Resources in the order in which they were registered.

    Args:
        owner: the name of the manager, for messages.
        close_timeout: seconds that closing a resource may take by default.
    """

    __slots__ = ("_close_timeout", "_owner", "_records")

    def __init__(self, owner: str, close_timeout: float) -> None:
        self._owner = owner
        self._close_timeout = close_timeout
        self._records: dict[str, Resource] = {}

    def __len__(self) -> int:
        return len(self._records)

    def list_open(self) -> dict[str, Any]:
        """Return the resources by name, oldest first, without those that are still opening."""
        return {name: record.value for name, record in self._records.items() if not record.opening}

    def register(
        self, resource: Any, name: str | None, close: Callable[[], Any] | None, timeout: float | None
    ) -> None:
        """Add an open resource; see `AsyncManager.register_resource`."""
        known = self._find(resource) if not isinstance(resource, str) else None
        if known is not None:
            if name is not None and name != known.name:
                self._refuse_duplicate(
                    f"{resource!r} is already registered in {self._owner!r} as {known.name!r}"
                )
            return
        close = close or find_closer(resource)
        record = Resource(self._choose_name(resource, name), resource, close, timeout)
        self._records[record.name] = record
        notify_opened(resource, name=record.name, manager_name=self._owner)

    async def enter(
        self,
        cm: AbstractAsyncContextManager[T],
        name: str | None,
        timeout: float | None,
        *,
        context: Context | None,
        on_end: Callable[[asyncio.Task[None]], None],
    ) -> T:
        """Enter a context manager in a task of its own; see `AsyncManager.enter_resource`.

        Args:
            cm: the context manager.
            name: its name, or None for one made from its type.
            timeout: seconds that leaving it may take.
            context: the context of the task; None: a copy of the caller's.
            on_end: called with the task when it ends after the context manager was entered.

        Returns:
            What entering returned.
        """
        loop = asyncio.get_running_loop()
        name = self._choose_name(cm, name)
        entered: asyncio.Future[T] = loop.create_future()
        leave = asyncio.Event()

        async def host() -> None:
            async with cm as value:
                entered.set_result(value)
                await leave.wait()

        task = loop.create_task(host(), name=f"{self._owner}/resource:{name}", context=context)

        async def cancel_entering() -> None:
            task.cancel()
            await asyncio.wait((task,))
            if not task.cancelled():
                task.result()

        async def leave_and_wait() -> None:
            leave.set()
            await task

        record = self._records[name] = Resource(name, None, cancel_entering, timeout, entered=True)
        try:
            await asyncio.wait((task, entered), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if self._forget(record):
                await await_uninterrupted(cancel_entering())
            raise
        if self._records.get(name) is not record:
            raise ManagerClosedError(
                compose_message(
                    f"resource {name!r} of manager {self._owner!r} was closed while it was being entered",
                    cause="the manager was shut down meanwhile",
                    fix="enter resources before the manager is told to shut down",
                    anchor="manager-closed",
                )
            )
        if not entered.done():
            self._forget(record)
            if task.cancelled():  # must not look as if the caller had been cancelled
                raise ResourceError(
                    compose_message(
                        f"entering resource {name!r} of manager {self._owner!r} was cancelled from within",
                        fix="find out who cancels it; a resource should raise what went wrong",
                        anchor="resource-cancelled",
                    )
                )
            task.result()  # raises what entering raised
        value = entered.result()
        record.value, record.close, record.opening = value, leave_and_wait, False
        record.observed = cm if value is None else value
        task.add_done_callback(on_end)
        notify_opened(record.observed, name=name, manager_name=self._owner)
        return value

    def unregister(self, resource: Any) -> bool:
        """Forget a resource without closing it; see `AsyncManager.unregister_resource`."""
        record = self._find(resource)
        if record is None:
            return False
        if record.entered:
            raise RuntimeError(
                compose_message(
                    f"resource {record.name!r} of manager {self._owner!r} cannot be given back",
                    cause="the manager entered it, in a task that alone can leave it",
                    fix="use `close_resource()`; or enter it yourself and use `register_resource()`",
                    anchor="entered-resource",
                )
            )
        del self._records[record.name]
        notify_closed(record.observed)
        return True

    def take(self, resource: Any) -> Resource:
        """Remove a resource in order to close it.

        Args:
            resource: the resource or its name.

        Raises:
            LookupError: it is not registered.
        """
        record = self._find(resource)
        if record is None:
            raise LookupError(
                compose_message(
                    f"manager {self._owner!r} has no resource {resource!r}",
                    cause="it was closed or unregistered already, or belongs to another manager",
                    fix=f"use one of these: {', '.join(self._records) or 'none is registered'}",
                    anchor="unknown-resource",
                )
            )
        del self._records[record.name]
        return record

    def take_newest(self) -> Resource | None:
        """Remove the resource that was registered last, in order to close it; None: there is none left."""
        return self._records.popitem()[1] if self._records else None

    async def close(self, record: Resource, wait: BoundedWait) -> Exception | None:
        """Close a resource that was taken out.

        Args:
            record: what to close.
            wait: bounds it.

        Returns:
            What went wrong; see `BoundedWait.call`.
        """
        seconds = self._close_timeout if record.timeout is None else record.timeout
        try:
            return await wait.call(
                record.close, f"closing resource {record.name!r} of {self._owner!r}", seconds
            )
        finally:
            if not record.opening:
                notify_closed(record.observed)

    def _find(self, resource: Any) -> Resource | None:
        if isinstance(resource, str):
            return self._records.get(resource)
        for record in self._records.values():
            if record.value is resource and not record.opening:
                return record
        return None

    def _forget(self, record: Resource) -> bool:
        if self._records.get(record.name) is not record:
            return False
        del self._records[record.name]
        return True

    def _choose_name(self, resource: Any, name: str | None) -> str:
        if name is None:
            base = name = type(resource).__name__
            for number in itertools.count(2):  # pragma: no branch - endless
                if name not in self._records:
                    break
                name = f"{base}-{number}"
        elif name in self._records:
            self._refuse_duplicate(f"manager {self._owner!r} already has a resource named {name!r}")
        return name

    @staticmethod
    def _refuse_duplicate(what: str) -> NoReturn:
        raise ValueError(
            compose_message(
                what,
                cause="it was registered twice, or two resources were given one name",
                fix="choose another `name=`, or leave it out to have one made",
                anchor="duplicate-resource",
            )
        )
