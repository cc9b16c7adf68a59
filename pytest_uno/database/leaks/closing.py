"""Close a connection from outside of its loop, in a moment and whatever it is about: it was leaked, and reported.

Drivers that can be closed like that have an adapter with `terminate()` in SQLAlchemy. psycopg has none; the connection
of libpq below it can be closed. What is left, an old aiosqlite, is closed in the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

from pytest_uno.database.sandbox.facade import SandboxConnection
from pytest_uno.leaks.settling import can_turn, reap, settle_in_time, turn

__all__ = ["close_in_time", "terminate", "threads_of"]

_TURNS = 3
"""Turns of the loop that a connection needs to close."""

_SECONDS = 0.25
"""Real seconds that the worker thread of a driver gets to end, or a connection to close."""


def terminate(connection: Any) -> bool:
    """Close a connection without waiting for anything; never raises.

    Args:
        connection: SQLAlchemy's adapter of it, in no pool any more.

    Returns:
        False if its driver cannot do that.
    """
    if isinstance(connection, SandboxConnection):
        return True  # there is nothing to close: the sandbox ends with the test
    libpq = getattr(_driver_of(connection), "pgconn", None)
    for close in (getattr(connection, "terminate", None), getattr(libpq, "finish", None)):
        if close is not None:
            with contextlib.suppress(Exception):
                close()
                return True
    return False


def close_in_time(connection: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Close a connection, and wait until nothing of it is left, in bounded time; never raises.

    Args:
        connection: SQLAlchemy's adapter of it, in no pool any more.
        loop: a loop to be run for it; one that cannot be run is left alone.
    """
    if can_turn(loop):
        _close_and_wait(connection, loop)
    else:
        own = asyncio.SelectorEventLoop()
        try:
            _close_and_wait(connection, own)
        finally:
            own.close()


def threads_of(connection: Any) -> list[threading.Thread]:
    """Return the worker thread of a connection of aiosqlite; none for others, and none for the sandbox's own.

    Args:
        connection: SQLAlchemy's adapter of it.
    """
    driver = None if isinstance(connection, SandboxConnection) else _driver_of(connection)
    thread = getattr(driver, "_thread", driver)  # before 0.22 the connection is a thread itself
    return [thread] if isinstance(thread, threading.Thread) else []


def _driver_of(connection: Any) -> Any:
    return getattr(connection, "driver_connection", None)


def _close_and_wait(connection: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Close a connection in a loop that runs: a driver asks for the current one, which may be any other outside."""

    async def close() -> None:
        if not terminate(connection):
            await _driver_of(connection).close()

    threads = threads_of(connection)
    task = loop.create_task(close())
    settle_in_time(loop, lambda: [] if task.done() else [task], seconds=_SECONDS)
    reap(loop, [task])
    for thread in threads:
        thread.join(_SECONDS)  # its last word goes to the loop, which must not be closed by then
    for _ in range(_TURNS):
        turn(loop)
