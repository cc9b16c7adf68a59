"""SQLite's date and time functions follow the wall clock of the test.

`CURRENT_TIMESTAMP`, `datetime('now')` and their relatives are functions that a connection can replace, those in the
column defaults of an existing schema included. The replacements must be declared deterministic: an index on an
expression that uses one of these functions would refuse them otherwise, also where it never asks for the time.

What is not about now is worked out by SQLite itself, on a connection of its own: modifiers and formats stay SQLite's.
Without lockstep the replacements give the real time.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from pytest_uno.clock.real_time import wall_time

if TYPE_CHECKING:
    from pytest_uno.clock import VirtualClock

__all__ = ["FrozenTime"]

_WITHOUT_ARGUMENTS = {
    "current_timestamp": "%Y-%m-%d %H:%M:%S",
    "current_date": "%Y-%m-%d",
    "current_time": "%H:%M:%S",
}

_TAKES_TIME_FIRST = (
    *("date", "time", "datetime", "julianday"),
    *(("unixepoch",) if sqlite3.sqlite_version_info >= (3, 38) else ()),
)
"""Functions whose first argument is the moment; none at all stands for now."""

_NOW = "now"


class FrozenTime:
    """Replaces the functions in every connection that some engines open.

    The functions are called by the driver's threads.

    Args:
        engines: the engines; those of other databases than SQLite are left alone.

    Attributes:
        clock: the clock of the running test; None between tests.
    """

    def __init__(self, engines: Sequence[AsyncEngine]) -> None:
        self.clock: VirtualClock | None = None
        self._engines = [engine for engine in engines if engine.dialect.name == "sqlite"]
        self._lock = threading.Lock()
        self._sqlite: sqlite3.Connection | None = None
        for engine in self._engines:
            event.listen(engine.sync_engine, "connect", self._install)

    def remove(self) -> None:
        """Leave new connections alone."""
        for engine in self._engines:
            event.remove(engine.sync_engine, "connect", self._install)
        self._engines = []
        with self._lock:
            if self._sqlite is not None:
                self._sqlite.close()
                self._sqlite = None

    def _install(self, connection: Any, record: object) -> None:
        for name, shape in _WITHOUT_ARGUMENTS.items():
            connection.create_function(name, 0, self._formatted(shape), deterministic=True)
        for name in _TAKES_TIME_FIRST:
            connection.create_function(name, -1, self._evaluated(name, moment_at=0), deterministic=True)
        connection.create_function(
            "strftime", -1, self._evaluated("strftime", moment_at=1), deterministic=True
        )

    def now(self) -> datetime:
        """Return the date and time in UTC: the test's, or the real one where the test has none of its own."""
        wall = None if self.clock is None else self.clock.used_wall
        if wall is not None and wall.is_lockstep:
            return wall.read_naive().replace(tzinfo=UTC)
        return datetime.fromtimestamp(wall_time(), UTC)

    def _formatted(self, shape: str) -> Callable[[], str]:
        return lambda: self.now().strftime(shape)

    def _evaluated(self, name: str, *, moment_at: int) -> Callable[..., Any]:
        def evaluate(*arguments: Any) -> Any:
            given = list(arguments)
            if len(given) == moment_at:
                given.append(_NOW)
            if (
                len(given) > moment_at
                and isinstance(given[moment_at], str)
                and given[moment_at].lower() == _NOW
            ):
                given[moment_at] = self.now().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            return self._ask_sqlite(name, given)

        return evaluate

    def _ask_sqlite(self, name: str, arguments: Sequence[Any]) -> Any:
        marks = ", ".join("?" * len(arguments))
        with self._lock:
            if self._sqlite is None:
                self._sqlite = sqlite3.connect(":memory:", check_same_thread=False)
            return self._sqlite.execute(f"SELECT {name}({marks})", arguments).fetchone()[0]
