"""UNO402 server: a server that somebody has made and nobody has closed.

Its sockets are a part of it, and so are the connections that it has accepted, with the tasks that handle them. A server
in a task that leaks, as `serve_forever` is, goes with the task.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Callable
from typing import Any

from pytest_uno.leaks.creations import Creation, Creations
from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Ledger, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.network.sockets import OpenSockets
from pytest_uno.leaks.network.transport_internals import SERVER, connections_of, raw_sockets
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.settling import can_turn, reap, settle_by_turns, turn
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.tasks.held_by_tasks import HeldByTasks
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["AnyServer", "OpenServers"]

AnyServer = asyncio.Server


class OpenServers(FurtherDetector):
    """The detector of UNO402.

    Args:
        sites: records and resolves the sites.
        births: knows the tasks, and the test that runs.
        ledger: takes servers that are dropped before they were closed.
        sockets: is told which sockets are a server's from now on.

    Attributes:
        suspected: the open servers of the last judgement, by identity.
    """

    on_loops = False  # the sockets of a server on a wider loop are its own also where that loop is not judged

    def __init__(self, sites: Sites, births: TaskBirths, ledger: Ledger, sockets: OpenSockets) -> None:
        self._sites = sites
        self._births = births
        self._ledger = ledger
        self._sockets = sockets
        self._made: Creations[AnyServer] = Creations(sites, lambda: births.current, self._record_dropped)
        self._held = HeldByTasks(births, self._close)
        self.suspected: dict[int, AnyServer] = {}

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of asyncio's servers."""
        return (
            replace_attribute(
                SERVER,
                "__init__",
                self._wrap_init,
                reason="the loop knows the sockets of a server, and not who has made it, or where",
            ),
            replace_attribute(
                SERVER,
                "close",
                self._wrap_close,
                reason="a server that is dropped does not tell any more whether it was closed",
            ),
        )

    def creation(self, server: object) -> Creation[AnyServer] | None:
        """Return where a server was made; None if it was not noted, or is closed.

        Args:
            server: the server.
        """
        return self._made.get(server)

    def forget_test(self) -> None:
        """Let go of what was looked at."""
        self.suspected.clear()
        self._held.forget_test()

    def clear(self) -> None:
        """Let go of everything."""
        self._made.clear()
        self._held.clear()
        self.suspected.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the open servers of the loop."""
        self.suspected.clear()
        if not len(self._made):
            return []
        for server, _ in self._made.living():
            judgement.explained.update(map(id, raw_sockets(server)))
            judgement.descriptors.update(sock.fileno() for sock in server.sockets)
        if not settle_by_turns(judgement.loop, lambda: self._open(judgement)):
            return []
        judgement.collect_garbage()
        found = self._open(judgement)
        held = self._held.find([server for server, _ in found], judgement)
        blamed = [
            pair for pair in found if id(pair[0]) not in held and id(pair[0]) not in judgement.explained
        ]
        self.suspected = {id(server): server for server, _ in blamed}
        return [self._suspect(judgement, server, creation) for server, creation in blamed]

    def _open(self, judgement: Judgement) -> list[tuple[AnyServer, Creation[AnyServer]]]:
        return [
            (server, creation)
            for server, creation in self._made.living()
            if server.get_loop() is judgement.loop
            and not judgement.loop.is_closed()
            and server.sockets
            and judgement.concerns(creation.owner)
        ]

    def _wrap_init(self, init: Callable[..., None]) -> Callable[..., None]:
        births, sites, made, sockets = self._births, self._sites, self._made, self._sockets

        @functools.wraps(init)
        def init_and_remember(
            server: AnyServer, loop: asyncio.AbstractEventLoop, *args: Any, **kwargs: Any
        ) -> None:
            init(server, loop, *args, **kwargs)
            if births.current is not None or OWNER.get() is not None:
                creation = made.note(server, sites.capture() or births.parent_site(loop))
                creation.loop = weakref.ref(loop)
                for sock in raw_sockets(server):
                    sockets.forget(sock)

        return init_and_remember

    def _wrap_close(self, close: Callable[..., None]) -> Callable[..., None]:
        made = self._made

        @functools.wraps(close)
        def close_and_forget(server: AnyServer) -> None:
            close(server)
            made.forget(server)

        return close_and_forget

    def _record_dropped(self, creation: Creation[AnyServer]) -> None:
        loop = None if creation.loop is None else creation.loop()
        if creation.owner is not None and loop is not None and not loop.is_closed():
            self._ledger.record(creation.owner, self._describe(creation, OwnerInfo.of(creation.owner)))

    def _suspect(self, judgement: Judgement, server: AnyServer, creation: Creation[AnyServer]) -> Suspect:
        def describe(owner: OwnerInfo) -> Finding:
            return self._describe(creation, owner)

        def adopt(owner: Owner) -> None:
            creation.owner = owner

        def dispose() -> None:
            self._close(server)
            # Those that read see the end of their connection; only others are cancelled.
            reap(judgement.loop, settle_by_turns(judgement.loop, lambda: judgement.tasks_of(server)))

        return Suspect(server, creation.owner, describe, adopt, dispose)

    def _describe(self, creation: Creation[AnyServer], owner: OwnerInfo) -> Finding:
        return Finding(
            rule="UNO402",
            subject="server was not closed",
            target="Server",
            created=self._sites.resolve(creation.site),
            waiting_at=(),
            awaited_by=None,
            owner=owner,
        )

    def _close(self, server: AnyServer) -> None:
        loop = server.get_loop()
        server.close()
        for transport in connections_of(server, loop):
            transport.abort()
        if can_turn(loop):
            turn(loop)
