"""Copies of a PostgreSQL template for single tests, some of them made before they are asked for.

A copy takes some 40 ms to make. While a test runs, the administrator makes the next ones, and when there is nothing to
make drops those that were used.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from concurrent import futures

from pytest_uno.database.templates.administrator import Administrator

__all__ = ["Clones", "quoted"]

_SPARES = 2
"""Copies that are kept ready once the first has been asked for."""


def quoted(name: str) -> str:
    """Return a name as an SQL identifier.

    Args:
        name: the name.
    """
    return '"' + name.replace('"', '""') + '"'


class Clones:
    """Makes and drops databases. All but `take` and `give_back` must be called in the administrator's loop.

    Args:
        administrator: runs the statements.
        template: the name of the template.
        stem: what the names of the copies begin with.
    """

    def __init__(self, administrator: Administrator, template: str, stem: str) -> None:
        self._administrator = administrator
        self._template = template
        self._stem = stem
        self._count = 0
        self._spares: deque[str] = deque()
        self._waiting: deque[futures.Future[str]] = deque()
        self._used: deque[str] = deque()
        self._bell = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def take(self) -> str:
        """Return the name of a fresh copy; must be called in a loop of another thread.

        Raises:
            Exception: what the driver raised when it should be made.
        """
        wanted: futures.Future[str] = futures.Future()
        await self._administrator.run(lambda: self._order(wanted))
        return await asyncio.wrap_future(wanted)

    def give_back(self, name: str) -> None:
        """Have a copy dropped some time; may be called in any thread.

        Args:
            name: the name of the copy.
        """
        self._administrator.submit(lambda: self._discard(name))

    async def create(self, name: str) -> None:
        """Copy the template.

        Args:
            name: the name of the copy.

        Raises:
            Exception: what the driver raised.
        """
        await self._administrator.execute(f"CREATE DATABASE {quoted(name)} TEMPLATE {quoted(self._template)}")

    async def drop(self, name: str) -> None:
        """Drop a database, also while somebody is connected to it.

        Args:
            name: its name; there may be no such database.

        Raises:
            Exception: what the driver raised.
        """
        await self._administrator.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")

    async def end(self) -> None:
        """Stop making copies, and drop all that are there."""
        if self._task is not None:
            self._task.cancel()
            # What it has begun to make is dropped with the others: the name is known before.
            await asyncio.gather(self._task, return_exceptions=True)
        for number in range(1, self._count + 1):
            await self.drop(f"{self._stem}_{number}")

    async def _order(self, wanted: futures.Future[str]) -> None:
        self._waiting.append(wanted)
        self._serve()  # at once, also while another copy is in the making
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
        self._bell.set()

    async def _discard(self, name: str) -> None:
        self._used.append(name)
        self._bell.set()

    async def _work(self) -> None:
        while True:
            self._serve()
            if self._waiting or len(self._spares) < _SPARES:
                await self._make_one()
            elif self._used:
                with contextlib.suppress(Exception):  # the end of the run tries again
                    await self.drop(self._used.popleft())
            else:
                self._bell.clear()
                await self._bell.wait()

    def _serve(self) -> None:
        while self._waiting and self._spares:
            wanted = self._waiting.popleft()
            if wanted.set_running_or_notify_cancel():
                wanted.set_result(self._spares.popleft())

    async def _make_one(self) -> None:
        self._count += 1
        name = f"{self._stem}_{self._count}"
        try:
            await self.create(name)
        except Exception as exc:
            if not self._waiting:
                self._bell.clear()
                await self._bell.wait()  # whoever asks next gets to see the error, if there still is one
                return
            wanted = self._waiting.popleft()
            if wanted.set_running_or_notify_cancel():
                wanted.set_exception(exc)
        else:
            self._spares.append(name)
