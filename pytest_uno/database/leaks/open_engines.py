"""UNO304 engine: an engine that was made and not disposed of, while its pool has open connections.

What is open in pools is a part of them, whosever they are: the transports, sockets and threads of drivers have no
report of their own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from pytest_uno.database.leaks.closing import close_in_time, terminate, threads_of
from pytest_uno.database.leaks.recorder import Recorder
from pytest_uno.database.leaks.sqlalchemy_patches import pool_of, proxy_of
from pytest_uno.leaks.hook_table import replace_attribute
from pytest_uno.leaks.judging import Judgement, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import Owner
from pytest_uno.leaks.retention import walk
from pytest_uno.leaks.sites import Site
from pytest_uno.leaks.system.thread_origins import is_made_by_import

__all__ = ["OpenEngines"]

_LIMIT = 1_000
"""Objects of a connection that are looked at for its parts."""

_ENDING = 0.25
"""Real seconds that the worker thread of a connection gets to end whose engine was dropped."""

_NAME = "AsyncEngine"

_PARTS = (asyncio.BaseTransport, asyncio.BaseProtocol, asyncio.Handle, asyncio.StreamWriter, socket.socket)
"""What a driver may have opened for a connection, and other detectors look for."""


@dataclasses.dataclass(slots=True, eq=False)
class _Engine:
    """An engine that was made.

    Attributes:
        ref: a weak reference to it.
        owner: whose it is.
        site: where it was made.
        is_recorded: it was dropped, and that is in the ledger.
    """

    ref: weakref.ref[Engine]
    owner: Owner
    site: Site
    is_recorded: bool = False


@dataclasses.dataclass(slots=True, eq=False)
class _Open:
    """A connection that is open.

    Attributes:
        record: a weak reference to the pool's entry.
        engine: the engine that it belongs to; None for one that nobody has made in a test.
        connection: SQLAlchemy's adapter of it, if it has such an engine. It is kept, so that it can be closed when the
            pool goes: the driver would complain of it.
    """

    record: weakref.ref[ConnectionPoolEntry]
    engine: _Engine | None
    connection: Any


class OpenEngines:
    """The detector of UNO304.

    Args:
        recorder: knows who is at work.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._made: dict[int, _Engine] = {}
        self._open: dict[int, _Open] = {}
        """By the identity of the pool's entry."""
        self._ending: list[threading.Thread] = []
        self._removals: list[Callable[[], None]] = []

    def install(self) -> None:
        """Begin to look."""
        hook = replace_attribute(Engine, "__init__", self._wrap_engine, reason="see `hooks`")
        self._removals.append(hook.install())
        for name, listener in (
            ("connect", self._on_connect),
            ("close", self._on_close),
            ("detach", self._on_close),
        ):
            event.listen(Pool, name, listener)
            self._removals.append(functools.partial(event.remove, Pool, name, listener))

    def remove(self) -> None:
        """Look no more, and let go of everything."""
        while self._removals:
            self._removals.pop()()
        self._open.clear()
        self._made.clear()
        self._ending.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the engines of those who are judged whose pools have something open; explain what any pool has."""
        while self._ending:  # its last word goes to the loop, which must not be closed by then
            self._ending.pop().join(_ENDING)
        if not self._open:
            return []
        judgement.explained.add_later(self._ids_of_parts)
        idle: dict[_Engine, list[ConnectionPoolEntry]] = {}
        for opened in list(self._open.values()):
            record, engine = opened.record(), opened.engine
            if (
                engine is not None
                and record is not None
                and not record.in_use
                and judgement.concerns_off_loops(engine.owner)
            ):
                idle.setdefault(engine, []).append(record)
        return [
            self._suspect(judgement, engine, records)
            for engine, records in idle.items()
            if not is_made_by_import(engine.site)
        ]

    # -- what happens
    def _wrap_engine(self, init: Callable[..., None]) -> Callable[..., None]:
        recorder, made = self._recorder, self._made

        @functools.wraps(init)
        def init_and_remember(engine: Engine, *args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            init(engine, *args, **kwargs)
            owner = recorder.owner()
            if owner is not None and engine.dialect.is_async:
                key = id(engine)
                ref = weakref.ref(engine, lambda _: made.pop(key, None))
                made[key] = _Engine(ref, owner, recorder.site())

        return init_and_remember

    def _on_connect(self, connection: Any, record: ConnectionPoolEntry) -> None:
        key, pool = id(record), pool_of(record)
        engine = self._engine_of(pool)
        ref = weakref.ref(record, lambda _: self._on_dropped(key))
        self._open[key] = _Open(ref, engine, None if engine is None else connection)

    def _on_close(self, connection: Any, record: ConnectionPoolEntry) -> None:
        self._open.pop(id(record), None)

    def _on_dropped(self, key: int) -> None:
        opened = self._open.pop(key, None)
        if opened is None or opened.engine is None or self._recorder.is_expected():
            return
        engine = opened.engine
        if not engine.is_recorded and not is_made_by_import(engine.site):
            engine.is_recorded = True
            self._recorder.ledger.record(engine.owner, self._describe(engine, OwnerInfo.of(engine.owner)))
        self._ending += threads_of(opened.connection)
        terminate(opened.connection)

    def _engine_of(self, pool: Pool) -> _Engine | None:
        for made in self._made.values():
            engine = made.ref()
            if engine is not None and engine.pool is pool:
                return made
        return None

    # -- what is left
    def _ids_of_parts(self) -> Iterator[int]:
        records = [opened.record() for opened in self._open.values()]
        for record in records:
            for part in walk([getattr(record, "driver_connection", None)], limit=_LIMIT):
                if isinstance(part, _PARTS):
                    yield id(part)

    def _describe(self, engine: _Engine, owner: OwnerInfo) -> Finding:
        return self._recorder.find(
            "UNO304", f"{_NAME} with open connections was not disposed of", _NAME, engine.site, owner
        )

    def _suspect(self, judgement: Judgement, engine: _Engine, records: list[Any]) -> Suspect:
        inner = engine.ref()

        def describe(owner: OwnerInfo) -> Finding:
            return self._describe(engine, owner)

        def adopt(owner: Owner) -> None:
            engine.owner = owner

        def dispose() -> None:
            for record in records:
                connection = record.dbapi_connection
                record.dbapi_connection = None  # the pool opens another one if it is used again
                self._open.pop(id(record), None)
                close_in_time(connection, judgement.loop)

        thing = engine if inner is None else proxy_of(AsyncEngine, inner) or inner
        return Suspect(thing, engine.owner, describe, adopt, dispose)
