"""The connection that makes and drops PostgreSQL databases, in a loop and a thread of its own.

The loops of the tests come and go, and their time is virtual; this connection stays, and its work goes on while a test
runs. The thread is no `threading.Thread`, so that nobody sees it who counts or lists threads.
"""

from __future__ import annotations

import asyncio
import contextlib
from _thread import start_new_thread
from collections.abc import Awaitable, Callable
from concurrent import futures
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool, Pool
from sqlalchemy.util import greenlet_spawn

from pytest_uno.clock.real_time import monotonic
from pytest_uno.core.errors import SandboxError, compose_message
from pytest_uno.database.sqlalchemy_internals import creator_of, dialect_of
from pytest_uno.database.templates.redirection import ConnectTarget, leading_to

__all__ = ["Administrator"]

T = TypeVar("T")

_USUAL_DATABASE = "postgres"
"""The database that is meant for such connections."""

_LAST_DATABASE = "template1"
"""The one that a server cannot do without."""

_PATIENCE = 10.0
"""Real seconds that the thread gets to end."""


class _RealTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose time is real, also while `time.monotonic` follows a virtual clock."""

    def time(self) -> float:
        """Return real seconds."""
        return monotonic()


class Administrator:
    """Runs statements on the server of an engine, one after the other.

    `start`, `run` and `stop` must be called in a loop of another thread, `execute` in its own.

    Args:
        engine: an engine of the server.
        pool: the engine's own pool.

    Attributes:
        is_on_template: it is connected to the database that new ones are copied from, since there is no other: while
            it is, other processes cannot copy that.
    """

    def __init__(self, engine: AsyncEngine, pool: Pool) -> None:
        self.is_on_template = False
        self._engine = engine
        self._pool = pool
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Any = None
        self._turn = asyncio.Lock()
        self._ended: futures.Future[None] = futures.Future()

    async def start(self) -> None:
        """Connect to the server.

        Raises:
            SandboxError: the server cannot be reached, or refuses.
        """
        self._loop = _RealTimeLoop()
        start_new_thread(self._run, (self._loop,))
        try:
            await self.run(self._connect)
        except BaseException:
            await self.stop()
            raise

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Call a function in the administrator's loop, and wait for the result.

        The work goes on to its end also if the caller is cancelled.

        Args:
            work: the function.

        Raises:
            RuntimeError: it is not started.
            Exception: what the function raised.
        """
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Callable[[], Awaitable[T]]) -> futures.Future[T]:
        """Call a function in the administrator's loop; may be called in any thread.

        Args:
            work: the function.

        Raises:
            RuntimeError: it is not started.
        """
        if self._loop is None:
            raise RuntimeError("the administrator is not started")
        result: futures.Future[T] = futures.Future()
        self._loop.call_soon_threadsafe(self._begin, work, result)
        return result

    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement outside of a transaction.

        Args:
            statement: the SQL, without parameters.

        Raises:
            Exception: what the driver raised.
        """
        async with self._turn:
            if self._engine.dialect.driver == "asyncpg":
                return [tuple(row) for row in await self._connection.fetch(statement)]
            cursor = await self._connection.execute(statement)
            return list(await cursor.fetchall()) if cursor.description else []

    async def stop(self) -> None:
        """Close the connection and end the thread; may be called again."""
        if self._loop is None:
            return
        loop, self._loop = self._loop, None
        loop.call_soon_threadsafe(self._end, loop)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(self._ended), _PATIENCE)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            asyncio.set_event_loop(loop)
            loop.run_forever()
            loop.run_until_complete(_cancel_tasks())
            if self._connection is not None:
                with contextlib.suppress(Exception):
                    loop.run_until_complete(self._connection.close())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
            self._ended.set_result(None)

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.stop()

    def _begin(self, work: Callable[[], Awaitable[T]], result: futures.Future[T]) -> None:
        task = asyncio.get_running_loop().create_task(_report(work, result))
        task.add_done_callback(lambda done: None if done.cancelled() else done.exception())

    async def _connect(self) -> None:
        pool = NullPool(creator_of(self._pool), dialect=dialect_of(self._pool))
        database = _USUAL_DATABASE
        try:
            try:
                made = await _open(pool, database)
            except Exception as exc:
                if "does not exist" not in str(exc):
                    raise
                database = _LAST_DATABASE
                made = await _open(pool, database)
        except Exception as exc:
            raise SandboxError(
                compose_message(
                    f"the server of {self._engine.url!r} cannot be reached: {type(exc).__name__}: {exc}",
                    fix="start it, or let the engine's URL lead to a server on which the tests may make databases",
                    anchor="database-server",
                )
            ) from exc
        self._connection = made.driver_connection
        made.detach()
        self.is_on_template = database == _LAST_DATABASE
        if self._engine.dialect.driver != "asyncpg":
            await self._connection.set_autocommit(True)


async def _open(pool: Pool, database: str) -> Any:
    with leading_to(ConnectTarget(database)):
        return await greenlet_spawn(pool.connect)


async def _report(work: Callable[[], Awaitable[T]], result: futures.Future[T]) -> None:
    if not result.set_running_or_notify_cancel():
        return
    try:
        value = await work()
    except asyncio.CancelledError:
        result.set_exception(RuntimeError("the administrator was stopped"))
    except Exception as exc:
        result.set_exception(exc)
    else:
        result.set_result(value)


async def _cancel_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
