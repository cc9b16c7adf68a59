"""UNO401 transport: a connection, datagram endpoint or pipe of asyncio's that nobody has closed; `StreamWriter`s, too.

What belongs together is one finding:

- Both ends of a connection, named by the end that was made by hand; an end that a server has accepted goes with an open
  end of the test's, or with the server, and takes along the task that handles it.
- A transport that a leaked task holds goes with the task, the pipes of a process go with the process.

A `StreamWriter` that is dropped closes its connection by itself, and is noted then.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, cast

from pytest_uno.leaks.asyncio_internals import warning_sink
from pytest_uno.leaks.creations import Creation, Creations
from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Ledger, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.network.servers import OpenServers
from pytest_uno.leaks.network.sockets import OpenSockets
from pytest_uno.leaks.network.transport_internals import (
    TRANSPORTS,
    address_of,
    descriptor_of,
    is_of_process,
    is_open,
    loop_of,
    protocol_of,
    raw_of,
    server_of,
    under_tls,
)
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.retention import find_retained
from pytest_uno.leaks.settling import can_turn, reap, settle_by_turns, settle_in_time, turn
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.tasks.held_by_tasks import HeldByTasks, pending_tasks
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["OpenTransports"]

AnyTransport: TypeAlias = asyncio.BaseTransport
Found: TypeAlias = tuple[AnyTransport, Creation[AnyTransport]]


class OpenTransports(FurtherDetector):
    """The detector of UNO401.

    Args:
        sites: records and resolves the sites.
        births: knows the tasks, and the test that runs.
        ledger: takes what is dropped before it was closed.
        servers: knows where servers were made.
        sockets: is told which sockets are a transport's from now on.
    """

    on_loops = False  # the socket of a transport is its own also where its loop is not judged

    def __init__(
        self, sites: Sites, births: TaskBirths, ledger: Ledger, servers: OpenServers, sockets: OpenSockets
    ) -> None:
        self._sites = sites
        self._births = births
        self._ledger = ledger
        self._servers = servers
        self._sockets = sockets
        self._made: Creations[AnyTransport] = Creations(sites, lambda: births.current, by_finalizer=True)
        self._held = HeldByTasks(births, _abort)
        self._sink: object = None

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of the transports of asyncio's selector loops, and of streams."""
        made = "the loop knows its transports, and not who has made them, or where"
        dropped = "only its finalizer knows whether it was dropped while it was open"
        hooks: list[Hook] = []
        for cls in TRANSPORTS:
            hooks.append(replace_attribute(cls, "__init__", self._wrap_init, reason=made))
            hooks.append(replace_attribute(cls, "__del__", self._wrap_finalizer, reason=dropped))
        # Early releases of 3.11 have none: the connection stays.
        if "__del__" in vars(asyncio.StreamWriter):  # pragma: no branch - others have one
            hooks.append(
                replace_attribute(
                    asyncio.StreamWriter,
                    "__del__",
                    self._wrap_finalizer_of_writer,
                    reason="it closes the connection that was forgotten, so that nobody sees it any more",
                )
            )
        return tuple(hooks)

    def snapshot(self, owner: Owner) -> None:
        """Take note of what receives the warnings of a test."""
        self._sink = warning_sink()

    def forget_test(self) -> None:
        """Dispose of the transports of leaked tasks."""
        self._held.forget_test()

    def clear(self) -> None:
        """Let go of everything."""
        self._made.clear()
        self._held.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the open transports of the loop, each connection once."""
        if not len(self._made):
            return []
        for transport, creation in self._made.living():
            judgement.explained.add(id(raw_of(transport)))
            if loop_of(transport) is None:
                if creation.owner is None or creation.owner.ended:
                    self._made.forget(transport)
            elif (
                number := descriptor_of(transport)
            ) is not None:  # pragma: no branch - depends on the platform
                judgement.descriptors.add(number)
        if judgement.loop_ends:
            self._end_closing(judgement)
        if not self._settle(judgement):
            return []
        judgement.collect_garbage()
        # What that has closed needs some turns to be gone, and so do the tasks at the other ends.
        settle_by_turns(judgement.loop, lambda: self._connected(judgement))
        found = self._open(judgement)
        held = self._held.find([transport for transport, _ in found], judgement)
        wholes: dict[int, object] = {}
        blamed = self._without_other_ends([pair for pair in found if id(pair[0]) not in held], wholes)
        self._explain_handlers([transport for transport, _ in found], wholes, judgement)
        judgement.explained.update(id(protocol_of(transport)) for transport, _ in found)  # and so its timers
        # The handler of a connection that only the server's end has kept is the leak.
        held = self._held.find([pair[0] for pair in blamed if _is_accepted(pair)], judgement, users=False)
        return [
            self._suspect(judgement, transport, creation, wholes)
            for transport, creation in blamed
            if id(transport) not in held
        ]

    def _settle(self, judgement: Judgement) -> bool:
        """Let open transports close, and say whether any stays; none is held then, so that garbage can go."""
        found = settle_by_turns(judgement.loop, lambda: self._open(judgement))
        if any(server_of(transport) is not None for transport, _ in found):  # its peer may just have gone
            found = settle_in_time(judgement.loop, lambda: self._open(judgement))
        return bool(found)

    def _end_closing(self, judgement: Judgement) -> None:
        """Let what is closing come to its end, as long as there is a loop for it: with TLS that takes a reply."""

        def closing() -> list[AnyTransport]:
            return [transport for transport, _ in self._connected(judgement) if not is_open(transport)]

        if can_turn(judgement.loop) and closing():
            _abort(*settle_in_time(judgement.loop, closing))

    def _connected(self, judgement: Judgement) -> list[Found]:
        return [
            (transport, creation)
            for transport, creation in self._made.living()
            if loop_of(transport) is judgement.loop
            and not judgement.loop.is_closed()
            and judgement.concerns(creation.owner)
        ]

    def _open(self, judgement: Judgement) -> list[Found]:
        return [
            (transport, creation)
            for transport, creation in self._connected(judgement)
            if is_open(transport)
            and id(transport) not in judgement.explained
            and id(protocol_of(transport)) not in judgement.explained
            and not is_of_process(transport)
        ]

    def _without_other_ends(self, found: list[Found], wholes: dict[int, object]) -> list[Found]:
        """Leave out what goes with another suspect, and note it as a part of that one."""
        blamed: list[Found] = []
        known: dict[object, AnyTransport] = {}
        for transport, creation in sorted(found, key=_is_accepted):  # what was made by hand comes first
            server = server_of(transport)
            address = address_of(transport)
            partner = None if address is None else known.get(address[::-1])
            if partner is not None:
                wholes[id(transport)] = partner
            elif server is not None and id(server) in self._servers.suspected:
                wholes[id(transport)] = server
            else:
                blamed.append((transport, creation))
                if address is not None:
                    known.setdefault(address, transport)
        return blamed

    def _explain_handlers(
        self, found: list[AnyTransport], wholes: dict[int, object], judgement: Judgement
    ) -> None:
        """Note the tasks that serve an accepted connection as a part of what the connection is a part of."""
        accepted = [transport for transport in found if id(transport) in wholes]
        if not accepted:
            return
        for task in pending_tasks(judgement, self._births, users=False):
            served = find_retained(accepted, {task: [self._births.coroutine(task)]})
            for transport in accepted:
                if id(transport) in served:
                    judgement.parts[id(task)] = task, wholes[id(transport)]
                    break

    def _wrap_init(self, init: Callable[..., None]) -> Callable[..., None]:
        births, sites, made, sockets = self._births, self._sites, self._made, self._sockets

        @functools.wraps(init)
        def init_and_remember(
            transport: AnyTransport, loop: asyncio.AbstractEventLoop, raw: Any, *args: Any, **kwargs: Any
        ) -> None:
            init(transport, loop, raw, *args, **kwargs)
            if births.current is not None or OWNER.get() is not None:
                creation = made.note(transport, sites.capture() or births.parent_site(loop))
                creation.loop = weakref.ref(loop)
                sockets.forget(raw)
                server = self._servers.creation(server_of(transport))
                if server is not None:
                    creation.owner, creation.site = server.owner, server.site

        return init_and_remember

    def _wrap_finalizer(self, finalize: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(finalize)
        def record_and_finalize(transport: AnyTransport, *args: Any, **kwargs: Any) -> None:
            creation = self._made.take(transport)
            if creation is not None and creation.owner is not None:
                self._record(transport, creation.owner, creation)
            finalize(transport, *args, **kwargs)

        return record_and_finalize

    def _wrap_finalizer_of_writer(self, finalize: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(finalize)
        def record_and_finalize(writer: asyncio.StreamWriter, *args: Any, **kwargs: Any) -> None:
            transport = under_tls(getattr(writer, "transport", None))
            creation = self._made.get(transport)
            if creation is not None and creation.owner is not None:
                self._record(cast("AnyTransport", transport), creation.owner, creation)
            finalize(writer, *args, **kwargs)

        return record_and_finalize

    def _record(self, transport: AnyTransport, owner: Owner, creation: Creation[AnyTransport]) -> None:
        """Put a transport into the ledger that is dropped while it is open, or whose writer is."""
        loop = loop_of(transport)
        acknowledged = self._births.current is not None and warning_sink() is not self._sink
        if acknowledged or loop is None or loop.is_closed() or is_of_process(transport):
            return
        if is_open(transport):
            finding = self._describe(_name(transport), creation, OwnerInfo.of(owner))
            self._ledger.record(owner, finding)

    def _suspect(
        self,
        judgement: Judgement,
        transport: AnyTransport,
        creation: Creation[AnyTransport],
        wholes: dict[int, object],
    ) -> Suspect:
        name = _name(transport)
        others = [pair for pair in self._made.living() if wholes.get(id(pair[0])) is transport]

        def describe(owner: OwnerInfo) -> Finding:
            return self._describe(name, creation, owner)

        def adopt(owner: Owner) -> None:
            for known in (creation, *(each for _, each in others)):
                known.owner = owner

        def dispose() -> None:
            _abort(transport, *(each for each, _ in others))
            # Those that read see the end of the connection; only others are cancelled.
            reap(judgement.loop, settle_by_turns(judgement.loop, lambda: judgement.tasks_of(transport)))

        return Suspect(transport, creation.owner, describe, adopt, dispose)

    def _describe(self, name: tuple[str, str], creation: Creation[AnyTransport], owner: OwnerInfo) -> Finding:
        subject, target = name
        return Finding(
            rule="UNO401",
            subject=f"{subject} was not closed",
            target=target,
            created=self._sites.resolve(creation.site),
            waiting_at=(),
            awaited_by=None,
            owner=owner,
        )


def _is_accepted(found: Found) -> bool:
    return server_of(found[0]) is not None


def _name(transport: AnyTransport) -> tuple[str, str]:
    """Return what a transport is called in a finding, and the name of what the user knows of it."""
    protocol = protocol_of(transport)
    target = type(protocol).__qualname__
    if isinstance(protocol, asyncio.StreamReaderProtocol):
        target = "StreamWriter"
    if hasattr(transport, "sendto"):  # not of asyncio's own base class before 3.12
        kind = "datagram transport"
    elif transport.get_extra_info("pipe") is not None:
        kind = "pipe"
    else:
        kind = "connection" if server_of(transport) is None else "accepted connection"
    return f"{kind} of a {target}", target


def _abort(*transports: Any) -> None:
    """Close transports at once, without what they were about to send; their loop gets a turn for it."""
    loops: Iterable[Any] = {loop for each in transports if (loop := loop_of(each)) is not None}
    for transport in transports:
        abort = getattr(transport, "abort", None)
        (abort or transport.close)()
    for loop in loops:
        if can_turn(loop):
            turn(loop)
