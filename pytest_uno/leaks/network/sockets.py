"""UNO404 socket: a socket that somebody has opened and nobody has closed, detached or handed on.

What a transport or server takes over is theirs from then on: they close it. A socket that is dropped while it is open
closes by itself; in a collection of garbage the callback of its weak reference comes before the finalizers of what held
it, which may close it yet, so that such sockets are looked at again when somebody judges.
"""

from __future__ import annotations

import functools
import socket
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

from pytest_uno.leaks.asyncio_internals import warning_sink
from pytest_uno.leaks.creations import Creation, Creations
from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Ledger, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.tasks.held_by_tasks import HeldByTasks
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["OpenSockets"]

_PAIR = getattr(socket.socketpair, "__code__", None)
"""The code that makes both sockets of a pair."""

_SHARER = "/multiprocessing/resource_sharer.py"
"""It listens from its first use until the process ends."""

_WAKE_UP = "_make_self_pipe"
"""What makes the sockets that wake an event loop up; they are a part of the loop."""

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)

AnySocket = socket.socket


class OpenSockets(FurtherDetector):
    """The detector of UNO404.

    Args:
        sites: records and resolves the sites.
        births: knows the test that runs.
        ledger: takes sockets that are dropped before they were closed.
    """

    on_loops = False

    def __init__(self, sites: Sites, births: TaskBirths, ledger: Ledger) -> None:
        self._sites = sites
        self._births = births
        self._ledger = ledger
        self._made: Creations[AnySocket] = Creations(sites, lambda: births.current, self._note_dropped)
        self._dropped: dict[int, Creation[AnySocket]] = {}
        self._lost: list[Creation[AnySocket]] = []
        self._half: tuple[Creation[AnySocket], int] | None = None
        self._sink: object = None
        self._held = HeldByTasks(births, _close)

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of the sockets of the standard library."""
        closed = "a socket that is dropped does not tell any more whether it was closed"
        return (
            replace_attribute(
                socket.socket,
                "__init__",
                self._wrap_init,
                reason="nobody else sees each socket that is made, and where",
            ),
            replace_attribute(socket.socket, "close", self._wrap_end, reason=closed),
            replace_attribute(socket.socket, "_real_close", self._wrap_end, reason=closed),
            replace_attribute(socket.socket, "detach", self._wrap_end, reason=closed),
            replace_attribute(
                warnings.catch_warnings,
                "__exit__",
                self._wrap_exit,
                reason="who records the warning of a dropped socket keeps the socket for as long, and knows of it",
            ),
        )

    def snapshot(self, owner: Owner) -> None:
        """Take note of what receives the warnings of a test."""
        self._sink = warning_sink()

    def forget(self, sock: object) -> None:
        """Forget a socket that is somebody else's from now on, or closed.

        Args:
            sock: any object.
        """
        self._made.take(sock)
        self._dropped.pop(id(sock), None)

    def forget_test(self) -> None:
        """Dispose of the sockets of leaked tasks."""
        self._held.forget_test()

    def clear(self) -> None:
        """Let go of everything."""
        self._made.clear()
        self._held.clear()
        self._dropped.clear()
        self._half = None
        self._lost.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the open sockets of those who are judged; those that are gone go to the ledger."""
        if not (len(self._made) or self._dropped or self._lost):
            return []
        if self._open(judgement):
            judgement.collect_garbage()
        found = self._open(judgement)
        held = self._held.find([sock for sock, _ in found], judgement)
        calls: dict[int, list[tuple[AnySocket, Creation[AnySocket]]]] = {}
        for sock, creation in found:
            if id(sock) not in held:  # both sockets of a pair have the same site, others have one each
                calls.setdefault(id(creation.site), []).append((sock, creation))
        self._record_lost(set(calls))
        return [self._suspect(ends) for ends in calls.values()]

    def _open(self, judgement: Judgement) -> list[tuple[AnySocket, Creation[AnySocket]]]:
        found: list[tuple[AnySocket, Creation[AnySocket]]] = []
        for sock, creation in self._made.living():
            if not judgement.concerns_off_loops(creation.owner) or id(sock) in judgement.explained:
                continue
            if sock.fileno() < 0 or _is_open(sock):  # without a call of ours it was closed by its finalizer
                found.append((sock, creation))
            else:
                self._made.forget(sock)
        return found

    def _record_lost(self, reported: set[int]) -> None:
        """Put the sockets that are gone into the ledger, but for those whose other end is reported."""
        lost = [*self._lost, *self._dropped.values()]
        self._lost.clear()
        self._dropped.clear()
        for creation in lost:
            if creation.owner is not None and id(creation.site) not in reported:
                reported.add(id(creation.site))
                count = sum(each.site is creation.site for each in lost)
                finding = self._describe(creation, OwnerInfo.of(creation.owner), count)
                self._ledger.record(creation.owner, finding)

    def _wrap_init(self, init: Callable[..., None]) -> Callable[..., None]:
        births, sites, made, owner_of = self._births, self._sites, self._made, OWNER.get

        @functools.wraps(init)
        def init_and_remember(sock: AnySocket, *args: Any, **kwargs: Any) -> None:
            init(sock, *args, **kwargs)
            if births.current is None and owner_of() is None:
                return
            # Without any of the user's frames it is a library's own affair, or the harness's.
            site = sites.capture()
            if site and not _is_machinery(caller := _getframe(1)):
                if (lost := self._dropped.pop(id(sock), None)) is not None:
                    self._lost.append(lost)  # another one's identity is this one's now
                creation = made.note(sock, site)
                if caller.f_code is _PAIR:
                    self._note_half(creation, id(caller))

        return init_and_remember

    def _note_half(self, creation: Creation[AnySocket], call: int) -> None:
        half, self._half = self._half, None
        if half is not None and half[1] == call:
            creation.site = half[0].site
        else:
            self._half = creation, call

    def _wrap_end(self, end: Callable[..., Any]) -> Callable[..., Any]:
        forget = self.forget

        @functools.wraps(end)
        def end_and_forget(sock: AnySocket, *args: Any, **kwargs: Any) -> Any:
            result = end(sock, *args, **kwargs)
            forget(sock)
            return result

        return end_and_forget

    def _wrap_exit(self, leave: Callable[..., None]) -> Callable[..., None]:
        births, made = self._births, self._made

        @functools.wraps(leave)
        def excuse_and_leave(catch: warnings.catch_warnings[Any], *exc_info: object) -> None:
            if len(made) and births.current is not None and warning_sink() is not self._sink:
                for sock, _ in made.living():
                    if sock.fileno() < 0:
                        made.forget(sock)
            leave(catch, *exc_info)

        return excuse_and_leave

    def _note_dropped(self, creation: Creation[AnySocket]) -> None:
        acknowledged = self._births.current is not None and warning_sink() is not self._sink
        if not acknowledged:
            self._dropped[creation.key] = creation

    def _suspect(self, ends: list[tuple[AnySocket, Creation[AnySocket]]]) -> Suspect:
        first, creation = ends[0]

        def describe(owner: OwnerInfo) -> Finding:
            return self._describe(creation, owner, len(ends))

        def adopt(owner: Owner) -> None:
            for _, each in ends:
                each.owner = owner

        def dispose() -> None:
            for sock, _ in ends:
                _close(sock)

        return Suspect(first, creation.owner, describe, adopt, dispose)

    def _describe(self, creation: Creation[AnySocket], owner: OwnerInfo, count: int) -> Finding:
        return Finding(
            rule="UNO404",
            subject="pair of sockets was not closed" if count > 1 else "socket was not closed",
            target="socket",
            created=self._sites.resolve(creation.site),
            waiting_at=(),
            awaited_by=None,
            owner=owner,
        )


def _is_machinery(frame: types.FrameType | None) -> bool:
    depth = 0
    while frame is not None and depth < 4:
        code = frame.f_code
        if code.co_name == _WAKE_UP or code.co_filename.replace("\\", "/").endswith(_SHARER):
            return True
        frame, depth = frame.f_back, depth + 1
    return False


def _is_open(sock: AnySocket) -> bool:
    if sock.fileno() < 0:
        return False
    try:
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
    except OSError:  # its descriptor was closed by its number, which may be a file's by now
        return False
    return True


def _close(sock: AnySocket) -> None:
    if _is_open(sock):
        sock.close()
