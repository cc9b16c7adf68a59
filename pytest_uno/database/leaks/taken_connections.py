"""UNO301 open-session, UNO302 open-transaction, UNO303 open-connection: what was taken from a pool and not given back.

Each connection that is taken is noted, with its session if it has one, and forgotten when it comes back. One that the
garbage collector takes is recorded as it goes, in the place of SQLAlchemy's own warning. Whether that has happened
before the end of a test must make no difference: where something is left, the garbage is collected first.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.pool import ConnectionPoolEntry, Pool, StaticPool

from pytest_uno.database.leaks.closing import close_in_time, terminate, threads_of
from pytest_uno.database.leaks.recorder import Recorder
from pytest_uno.database.leaks.sqlalchemy_patches import CLEANUP, is_collection, is_made_by_user, silenced
from pytest_uno.database.sqlalchemy_internals import dialect_of, is_abandoned
from pytest_uno.leaks.creations import Creations
from pytest_uno.leaks.hook_table import replace_attribute
from pytest_uno.leaks.judging import Judgement, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import Owner
from pytest_uno.leaks.retention import find_retained
from pytest_uno.leaks.settling import settle_in_threads
from pytest_uno.leaks.sites import Site
from pytest_uno.leaks.tasks.held_by_tasks import HeldByTasks

__all__ = ["TakenConnections"]

_NEARBY = 100
"""Objects around a suspended generator among which its own sessions and connections are looked for."""

_ENDING = 0.25
"""Real seconds that the worker thread of a connection gets to end which the garbage collector has taken."""


@dataclasses.dataclass(slots=True, eq=False)
class _Session:
    """A session that was made.

    Attributes:
        proxy: a weak reference to the session, as the user knows it.
        name: the name of its class.
        owner: whose it is.
        site: where it was made.
    """

    proxy: weakref.ref[AsyncSession]
    name: str
    owner: Owner
    site: Site


@dataclasses.dataclass(slots=True, eq=False)
class _Taken:
    """A connection that was taken from a pool.

    Attributes:
        fairy: a weak reference to what the pool has handed out.
        record: the pool's entry.
        owner: who took it.
        site: where.
        session: for which session.
        inner: a weak reference to that session, as SQLAlchemy knows it.
    """

    fairy: weakref.ref[Any]
    record: ConnectionPoolEntry
    owner: Owner
    site: Site
    session: _Session | None = None
    inner: weakref.ref[Session] | None = None


class TakenConnections:
    """The detector of UNO301, UNO302 and UNO303.

    Args:
        recorder: knows who is at work.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._sessions: weakref.WeakKeyDictionary[Session, _Session] = weakref.WeakKeyDictionary()
        self._connections: Creations[AsyncConnection] = Creations(
            recorder.sites, lambda: recorder.births.current
        )
        self._taken: dict[int, _Taken] = {}
        """By the identity of what the pool has handed out."""
        self._ending: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop of the last judgement that had something to judge."""
        self._in_generators: list[object] = []
        self._held = HeldByTasks(recorder.births, self._close_thing)
        self._removals: list[Callable[[], None]] = []

    def install(self) -> None:
        """Begin to look."""
        for owner, name, wrap in (
            (AsyncSession, "__init__", self._wrap_session),
            (AsyncConnection, "__init__", self._wrap_connection),
            (*CLEANUP, self._wrap_cleanup),
        ):
            self._removals.append(replace_attribute(owner, name, wrap, reason="see `hooks`").install())
        for target, name, listener in (
            (Pool, "checkout", self._on_checkout),
            (Pool, "detach", self._on_detach),
            (Session, "after_begin", self._on_begin),
        ):
            event.listen(target, name, listener)
            self._removals.append(functools.partial(event.remove, target, name, listener))

    def remove(self) -> None:
        """Look no more, and let go of everything."""
        while self._removals:
            self._removals.pop()()
        self._taken.clear()
        self._connections.clear()
        self._sessions.clear()
        self._ending.clear()
        self._in_generators.clear()
        self._held.clear()

    def forget_test(self) -> None:
        """Close what leaked tasks and generators have held, and not closed when they ended."""
        while self._in_generators:
            self._close_thing(self._in_generators.pop())
        self._held.forget_test()
        self._loop = None

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the sessions and connections of those who are judged that hold what they have taken."""
        if not self._taken and not self._ending:
            return []
        if self._find_open(judgement):
            judgement.collect_garbage()
        self._loop = judgement.loop
        while self._ending:  # its last word goes to the loop, which must not be closed by then
            self._ending.pop().join(_ENDING)
        found = settle_in_threads(self._find_open(judgement), self._is_open)
        wholes: dict[int, tuple[object, list[_Taken]]] = {}
        for taken in found:
            thing = self._whole(taken)
            wholes.setdefault(id(thing), (thing, []))[1].append(taken)
        things = [thing for thing, _ in wholes.values()]
        in_generators = _held_by_generators(things, judgement)
        self._in_generators += [thing for thing in things if id(thing) in in_generators]
        held = self._held.find(things, judgement) | in_generators
        return [
            self._suspect(judgement, thing, parts)
            for key, (thing, parts) in wholes.items()
            if key not in held
        ]

    # -- what happens
    def _wrap_session(self, init: Callable[..., None]) -> Callable[..., None]:
        recorder, sessions = self._recorder, self._sessions

        @functools.wraps(init)
        def init_and_remember(session: AsyncSession, *args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            init(session, *args, **kwargs)
            owner = recorder.owner()
            if owner is not None:
                name = type(session).__qualname__
                noted = _Session(weakref.ref(session), name, owner, recorder.site())
                sessions[session.sync_session] = noted

        return init_and_remember

    def _wrap_connection(self, init: Callable[..., None]) -> Callable[..., None]:
        connections = self._connections

        @functools.wraps(init)
        def init_and_remember(connection: AsyncConnection, *args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            init(connection, *args, **kwargs)
            connections.note(connection)

        return init_and_remember

    def _wrap_cleanup(self, clean_up: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(clean_up)
        def clean_up_and_forget(connection: Any, record: Any, pool: Pool, *args: Any, **kwargs: Any) -> None:
            fairy = kwargs.get("fairy")
            if fairy is not None:
                self._taken.pop(id(fairy), None)
            elif is_collection(args, kwargs) and self._record_lost(record, pool) and is_abandoned(record):
                connection = record.dbapi_connection
                self._ending += threads_of(connection)
                with silenced(pool) as silent:
                    clean_up(None, record, silent, *args, **kwargs)
                if not dialect_of(pool).has_terminate:
                    terminate(connection)
                return
            clean_up(connection, record, pool, *args, **kwargs)

        return clean_up_and_forget

    def _on_checkout(self, connection: Any, record: ConnectionPoolEntry, fairy: Any) -> None:
        recorder = self._recorder
        owner = recorder.owner()
        if owner is not None:
            # The callback lets the reference die before finalisers run, also in 3.15.
            self._taken[id(fairy)] = _Taken(weakref.ref(fairy, _ignore), record, owner, recorder.site())

    def _on_detach(self, connection: Any, record: ConnectionPoolEntry) -> None:
        for key, taken in list(self._taken.items()):
            if taken.record is record:
                del self._taken[key]

    def _on_begin(self, session: Session, transaction: SessionTransaction, connection: Connection) -> None:
        fairy = connection.connection
        taken = self._taken.get(id(fairy))
        if taken is None or taken.fairy() is not fairy or is_made_by_user(connection):
            return
        noted = self._sessions.get(session)
        if noted is None:  # made by an import, or before the first test: it is nobody's
            del self._taken[id(fairy)]
            return
        if noted.owner.ended:
            noted.owner = taken.owner  # it was closed in time, and is used again
        taken.session, taken.inner = noted, weakref.ref(session)

    def _record_lost(self, record: ConnectionPoolEntry, pool: Pool) -> bool:
        """Record what the garbage collector has taken; True if it is a leak, and SQLAlchemy need not say so."""
        lost = [taken for taken in self._taken.values() if taken.record is record and taken.fairy() is None]
        for taken in lost:
            self._taken = {key: each for key, each in self._taken.items() if each is not taken}
        # A pool with one connection for everybody hands it out again while it is taken.
        if not lost or self._recorder.is_expected() or not (is_abandoned(record) or _is_shared(pool)):
            return False
        for taken in lost:
            owner = _owner_of(taken)
            self._recorder.ledger.record(owner, self._describe(taken, OwnerInfo.of(owner)))
        return True

    # -- what is left
    def _is_open(self, taken: _Taken) -> bool:
        fairy = taken.fairy()
        return fairy is not None and fairy.is_valid

    def _find_open(self, judgement: Judgement) -> list[_Taken]:
        self._taken = {key: taken for key, taken in self._taken.items() if self._is_open(taken)}
        return [taken for taken in self._taken.values() if judgement.concerns_off_loops(_owner_of(taken))]

    def _whole(self, taken: _Taken) -> object:
        """Return what the user has made: a session, a connection, or what a pool has handed out."""
        if taken.session is not None and taken.inner is not None:
            return taken.session.proxy() or taken.inner() or taken
        return self._connection_of(taken) or taken.fairy() or taken

    def _connection_of(self, taken: _Taken) -> AsyncConnection | None:
        fairy = taken.fairy()
        for connection, _ in self._connections.living():
            inner = connection.sync_connection
            if inner is not None and not inner.closed and not inner.invalidated and inner.connection is fairy:
                return connection
        return None

    def _describe(self, taken: _Taken, owner: OwnerInfo) -> Finding:
        session = taken.session
        if session is not None:
            frames = self._recorder.sites.resolve(taken.site)
            return self._recorder.find(
                "UNO301",
                f"{session.name} with an open transaction",
                session.name,
                session.site,
                owner,
                f"It took its connection at {frames[0].file}:{frames[0].line} in {frames[0].function}.",
            )
        connection = self._connection_of(taken)
        if connection is None:
            return self._recorder.find(
                "UNO303", "connection was not given back to its pool", "Connection", taken.site, owner
            )
        name, creation = type(connection).__qualname__, self._connections.get(connection)
        site = taken.site if creation is None else creation.site
        if connection.get_transaction() is None:
            return self._recorder.find("UNO303", f"{name} was not closed", name, site, owner)
        return self._recorder.find("UNO302", f"{name} with an open transaction", name, site, owner)

    def _suspect(self, judgement: Judgement, thing: object, parts: list[_Taken]) -> Suspect:
        first = parts[0]

        def describe(owner: OwnerInfo) -> Finding:
            return self._describe(first, owner)

        def adopt(owner: Owner) -> None:
            for taken in parts:
                taken.owner = owner
                if taken.session is not None:
                    taken.session.owner = owner

        def dispose() -> None:
            for taken in parts:
                close_in_time(_give_back(taken), judgement.loop)

        return Suspect(thing, _owner_of(first), describe, adopt, dispose)

    def _close_thing(self, thing: object) -> None:
        assert self._loop is not None  # where there is something held, there was a judgement
        held = [taken for taken in self._taken.values() if self._is_open(taken)]
        for taken in [taken for taken in held if self._whole(taken) is thing]:
            close_in_time(_give_back(taken), self._loop)


def _held_by_generators(things: list[object], judgement: Judgement) -> set[int]:
    """Return the identities of what suspended generators have at hand, which are reported themselves."""
    roots = {id(one): gc.get_referents(one) for one in judgement.generators}
    return set(find_retained(things, roots, limit=_NEARBY))


def _give_back(taken: _Taken) -> Any:
    """Take a connection from whoever has it and from its pool; it is not closed by that.

    Who has it finds it invalidated: closing late does no harm, and nothing is sent to a closed driver.
    """
    fairy: Any = taken.fairy()
    connection = fairy.dbapi_connection
    fairy.detach()
    fairy.invalidate()
    return connection


def _owner_of(taken: _Taken) -> Owner:
    return taken.owner if taken.session is None else taken.session.owner


def _is_shared(pool: Pool) -> bool:
    return isinstance(pool, StaticPool)


def _ignore(_: object) -> None:
    """Do nothing."""
