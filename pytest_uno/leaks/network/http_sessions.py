"""UNO409 http-session: a client of aiohttp or httpx that was not closed.

The classes are patched when their library is found to be imported; it is never imported from here. A client that goes
says in its finaliser whether it was closed, since nothing else knows that afterwards. What it has opened - timers,
connections, sockets - is a part of it, and is closed with it once it is reported.

Not judged are clients that have opened nothing: one of httpx that was never used, and a synchronous one whose
transport is not httpx's own, as the test clients of web frameworks have.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import socket
import sys
import weakref
from asyncio import trsock
from collections.abc import Callable, Iterator
from typing import Any, cast

from pytest_uno.leaks.asyncio_internals import loop_of_transport, warning_sink
from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Ledger, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.network.http_libraries import LIBRARIES, HttpLibrary
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.retention import walk
from pytest_uno.leaks.settling import can_turn, turn
from pytest_uno.leaks.sites import Site, Sites
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["HttpSessions"]

_LIMIT = 5_000
"""Objects of a client that are looked at for its connections."""

_TURNS = 3
"""Turns of the loop that a connection needs to close."""

_PARTS = (
    asyncio.BaseTransport,
    asyncio.BaseProtocol,
    asyncio.Handle,
    asyncio.StreamWriter,
    asyncio.StreamReader,
    socket.socket,
    trsock.TransportSocket,
)
"""What a client may have opened, and other detectors look for."""


@dataclasses.dataclass(slots=True, eq=False)
class _Client:
    ref: weakref.ref[Any]
    library: HttpLibrary
    name: str
    owner: Owner
    site: Site


class HttpSessions(FurtherDetector):
    """The detector of UNO409.

    Args:
        sites: records and resolves the sites.
        births: knows the test that runs.
        ledger: takes clients that go before they were closed.
    """

    on_loops = False  # a client that was never used is on no loop

    def __init__(self, sites: Sites, births: TaskBirths, ledger: Ledger) -> None:
        self._sites = sites
        self._births = births
        self._ledger = ledger
        self._known: dict[int, _Client] = {}
        self._sink: object = None
        self._unpatched: list[HttpLibrary] = []
        self._removals: list[Callable[[], None]] = []

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hook of the libraries that are imported by now; the others follow in `snapshot`."""
        return (
            Hook(
                ", ".join(f"{library.module}.{library.kind}" for library in LIBRARIES),
                "nobody else sees each client that is made, and where, and whether it goes unclosed",
                self._install,
            ),
        )

    def snapshot(self, owner: Owner) -> None:
        """Patch what was imported meanwhile, and take note of what receives the warnings of the test."""
        if self._unpatched:
            self._patch()
        self._sink = warning_sink()

    def clear(self) -> None:
        """Let go of everything."""
        self._known.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the open clients of those who are judged; what any client has opened is a part of it."""
        if not self._known:
            return []
        suspects: list[Suspect] = []
        for key, client in list(self._known.items()):
            thing = client.ref()
            if thing is None:  # its class has a finaliser of its own
                self._known.pop(key, None)
            elif client.library.is_open(thing):
                judgement.explained.add_later(functools.partial(_ids_of, client, thing))
                if client.owner.ended or client.owner is judgement.owner:
                    suspects.append(self._suspect(key, client, thing))
        return suspects

    def _install(self) -> Callable[[], None]:
        self._unpatched = list(LIBRARIES)
        self._patch()

        def remove() -> None:
            self._unpatched = []
            while self._removals:
                self._removals.pop()()

        return remove

    def _patch(self) -> None:
        for library in list(self._unpatched):
            kind = getattr(sys.modules.get(library.module), library.kind, None)
            if isinstance(kind, type):
                self._unpatched.remove(library)
                for name, wrap in (("__init__", self._wrap_init), ("__del__", self._wrap_del)):
                    hook = replace_attribute(
                        kind, name, functools.partial(wrap, library), reason="see `hooks`"
                    )
                    self._removals.append(hook.install())

    def _wrap_init(self, library: HttpLibrary, init: Callable[..., None]) -> Callable[..., None]:
        sites, known, births = self._sites, self._known, self._births

        @functools.wraps(init)
        def init_and_remember(client: Any, *args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            init(client, *args, **kwargs)
            owner = OWNER.get() or births.current
            if owner is not None:
                site = sites.capture() or sites.capture_library()
                name = f"{library.package}.{library.kind}"
                known.pop(id(client), None)  # or it would keep the place of the one that had this identity
                known[id(client)] = _Client(weakref.ref(client), library, name, owner, site)

        return init_and_remember

    def _wrap_del(
        self, library: HttpLibrary, finalise: Callable[[Any], None] | None
    ) -> Callable[[Any], None]:
        # Weak references may be dead by now, so the identity has to do.
        known = self._known

        def judge_and_finalise(client: Any) -> None:
            noted = known.pop(id(client), None)
            if noted is not None and not self._is_expected():
                self._record_dropped(noted, client)
            if finalise is not None:
                finalise(client)

        return judge_and_finalise if finalise is None else functools.wraps(finalise)(judge_and_finalise)

    def _is_expected(self) -> bool:
        """Say whether the test records warnings just now: then it wants to see the client's own one."""
        return self._births.current is not None and warning_sink() is not self._sink

    def _record_dropped(self, client: _Client, thing: Any) -> None:
        if client.library.is_open(thing):
            self._ledger.record(client.owner, self._describe(client, OwnerInfo.of(client.owner)))
            # Closed now, it says nothing more about itself; nor does anybody say something about its connections.
            _close(client, thing)

    def _suspect(self, key: int, client: _Client, thing: Any) -> Suspect:
        def describe(owner: OwnerInfo) -> Finding:
            return self._describe(client, owner)

        def adopt(owner: Owner) -> None:
            client.owner = owner

        def dispose() -> None:
            self._known.pop(key, None)
            for loop in _close(client, thing):
                for _ in range(_TURNS):
                    if can_turn(loop):
                        turn(loop)

        return Suspect(thing, client.owner, describe, adopt, dispose)

    def _describe(self, client: _Client, owner: OwnerInfo) -> Finding:
        return Finding(
            rule="UNO409",
            subject=f"{client.name} was not closed",
            target=client.name,
            created=self._sites.resolve(client.site),
            waiting_at=(),
            awaited_by=None,
            owner=owner,
        )


def _parts_of(client: _Client, thing: Any) -> Iterator[object]:
    yield thing
    for part in walk(client.library.pools_of(thing), limit=_LIMIT):
        if isinstance(part, _PARTS) or type(part).__module__.startswith("uvloop"):
            yield part


def _ids_of(client: _Client, thing: Any) -> list[int]:
    return [id(part) for part in _parts_of(client, thing)]


def _close(client: _Client, thing: Any) -> set[asyncio.AbstractEventLoop]:
    """Close a client and its connections, without waiting for anything.

    Returns:
        The loops that have something to do for it yet.
    """
    parts = list(_parts_of(client, thing))
    client.library.close(thing)
    loops: set[asyncio.AbstractEventLoop] = set()
    for part in parts:
        loop = None if isinstance(part, asyncio.BaseProtocol) else loop_of_transport(part)
        if loop is not None and _is_usable(loop):
            with contextlib.suppress(Exception):
                cast("asyncio.WriteTransport", part).abort()
                loops.add(loop)
    return loops


def _is_usable(loop: asyncio.AbstractEventLoop) -> bool:
    """Say whether what belongs to a loop may be used in this thread."""
    return can_turn(loop) or (loop.is_running() and asyncio._get_running_loop() is loop)
