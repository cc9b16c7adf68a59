"""The unfinished futures that something outside the loop will finish."""

from __future__ import annotations

import asyncio
import os
import socket
import types
import weakref
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from pytest_uno.clock.asyncio_internals import (
    WAIT_FOR_DATA,
    below_tls,
    callbacks_of,
    data_waiter_of,
    transport_of,
)
from pytest_uno.clock.connections import Connections, SocketCounter, VirtualSocketTransport
from pytest_uno.clock.future_kinds import BARE, LISTENING, NETWORK, WORK
from pytest_uno.clock.reasons import Reason

if TYPE_CHECKING:
    from pytest_uno.clock.outside_work import Look

__all__ = ["OutsideFutures"]

_FIRST_SWEEP = 64
"""Futures that are kept before the finished ones are swept out; twice the unfinished ones from then on."""


class _Noted:
    """A future that was noted when it was made."""

    __slots__ = ("code", "future", "is_from_thread", "kind", "origin", "since", "traffic")

    def __init__(
        self, future: asyncio.Future[Any], kind: int, code: types.CodeType, origin: object, traffic: int = 0
    ) -> None:
        self.future = weakref.ref(future)
        self.kind = kind
        self.code = code
        self.origin = origin
        self.traffic = traffic
        self.since: float | None = None
        self.is_from_thread = code.co_name == "wrap_future"

    def begin(self, now: float) -> float:
        """Return the moment at which it first counted."""
        if self.since is None:
            self.since = now
        return self.since

    @property
    def source(self) -> object:
        """The transport or socket that brings what it waits for; None when it is not known."""
        return below_tls(self.origin)

    @property
    def label(self) -> str:
        if self.is_from_thread:
            return "executor or thread"
        return f"{os.path.basename(self.code.co_filename)}:{self.code.co_name}"


class OutsideFutures:
    """The futures of one loop that count as outside work; must be used in the loop's thread."""

    def __init__(
        self,
        connections: Connections,
        background: weakref.WeakSet[asyncio.Task[Any]],
        answered: Collection[object] = (),
    ) -> None:
        self._answered = answered
        self._connections = connections
        self._background = background
        self._outside: list[_Noted] = []
        self._readers: weakref.WeakKeyDictionary[asyncio.StreamReader, _Noted | None] = (
            weakref.WeakKeyDictionary()
        )
        self._bare: list[_Noted] = []
        self._sweep_at = {False: _FIRST_SWEEP, True: _FIRST_SWEEP}

    def __bool__(self) -> bool:
        return bool(self._outside or self._readers)

    def note_reader(self, reader: asyncio.StreamReader) -> None:
        """Note that a stream's reader is about to wait for data: what it waits for is looked up when the clock asks."""
        self._readers[reader] = None

    def note(self, future: asyncio.Future[Any], kind: int, frame: types.FrameType) -> None:
        """Note a future that was just made by code in `frame`."""
        bare = kind in (BARE, NETWORK)
        noted = self._bare if bare else self._outside
        code = frame.f_code
        origin: object = None
        # asyncio's own frames: the loop's sock_* methods.
        if kind in (LISTENING, WORK) and code.co_name.startswith("sock_"):
            origin = frame.f_locals.get("sock")
            if isinstance(origin, socket.socket):
                self._connections.note_socket(origin)
        noted.append(_Noted(future, kind, code, origin, self._connections.traffic[0]))
        if len(noted) > self._sweep_at[bare]:
            _sweep(noted)
            self._sweep_at[bare] = _FIRST_SWEEP + 2 * len(noted)

    def unfinished_work(self) -> list[str]:
        """Return the labels of outside work that is under way and will certainly end, awaited or not."""
        _sweep(self._outside)
        return [noted.label for noted in self._outside if noted.kind == WORK]

    def reasons(self, look: Look, threads_waiting_for_us: int) -> Iterator[Reason]:
        """Yield what holds the clock.

        Args:
            look: the look at the outside that asks.
            threads_waiting_for_us: pool threads that wait for this loop; as many executor futures do not hold.
        """
        _sweep(self._outside)
        for noted in [*self._outside, *self._reading()]:
            if not self._matters(noted):
                continue
            since = noted.begin(look.now)
            if noted.kind == WORK:
                if noted.is_from_thread and threads_waiting_for_us > 0:
                    threads_waiting_for_us -= 1
                    continue
                yield Reason(since, look.budgets.patience, True, noted.label)
            else:
                yield from self._listening(noted, since, look)

    def _reading(self) -> list[_Noted]:
        """Return the waits of streams for data, and forget the readers that wait no more."""
        found: list[_Noted] = []
        for reader, known in list(self._readers.items()):
            waiter = data_waiter_of(reader)
            if waiter is None or waiter.done():
                del self._readers[reader]
                continue
            if known is None:
                known = self._readers[reader] = _Noted(waiter, LISTENING, WAIT_FOR_DATA, transport_of(reader))
            found.append(known)
        return found

    def _matters(self, noted: _Noted) -> bool:
        """Say whether anybody but background tasks waits; an executor's work goes on without, and may be polled."""
        future = noted.future()
        if self._answered and (future in self._answered or noted.source in self._answered):
            return False
        callbacks = callbacks_of(future)
        if noted.is_from_thread:
            # asyncio's own, which passes a cancellation on to the thread.
            callbacks = [one for one in callbacks if getattr(one, "__name__", "") != "_call_check_cancel"]
        if not callbacks:
            return noted.is_from_thread
        background = self._background
        return not background or any(
            getattr(callback, "__self__", None) not in background for callback in callbacks
        )

    def _listening(self, noted: _Noted, since: float, look: Look) -> Iterator[Reason]:
        source = noted.source
        quiet = look.budgets.quiet
        if isinstance(source, VirtualSocketTransport):
            if self._connections.partner(source) is not None or source.is_within_process:
                return  # both ends are in this process: the bytes in flight decide
            if source.counter.expects_reply:
                yield Reason(since, look.budgets.patience, True, noted.label)
                return
            quiet = max(quiet, 2 * source.counter.latency) if source.counter.last_traffic else 0.0
        elif isinstance(source, socket.socket) and (
            noted.code.co_name == "sock_accept" or self._connections.is_socket_within_process(source)
        ):
            yield Reason(since, quiet, False, noted.label)
            return
        if look.test_waits_for_more_than_time():
            yield Reason(since, look.budgets.patience, True, noted.label)
        else:
            yield Reason(since, quiet, False, noted.label)

    def late_answers(self, look: Look) -> Iterator[Reason]:
        """Yield the plain futures that what comes through an outside connection may finish.

        A future that was made before the last exchange of request and reply began has outlived the one before: what it
        waits for is something else.
        """
        exchanges = self._connections.exchanges
        if not exchanges or not self._bare:
            return
        _sweep(self._bare)
        for noted in self._bare:
            if self._matters(noted):
                for counter in exchanges:
                    if counter.exchange_began <= noted.traffic:
                        yield from self._late_answer(noted, counter, look)

    @staticmethod
    def _late_answer(noted: _Noted, counter: SocketCounter, look: Look) -> Iterator[Reason]:
        patience, quiet = look.budgets.patience, look.budgets.quiet
        heard = counter.received_at or look.now
        is_network = noted.kind == NETWORK
        if is_network and counter.expects_reply:
            yield Reason(noted.begin(look.now), patience, True, noted.label)
        elif is_network:
            if look.test_waits_for_more_than_time():
                yield Reason(heard, patience, False, noted.label)
        elif noted.traffic < counter.last_traffic:  # code that is not known: only what came later counts
            flows = look.test_waits_for_more_than_time()
            label = f"future made in {noted.code.co_name}, traffic from outside since"
            if counter.expects_reply:
                yield Reason(noted.begin(look.now), patience, flows, label)
            else:
                yield Reason(heard, patience if flows else quiet, False, label)


def _sweep(noted: list[_Noted]) -> None:
    noted[:] = [one for one in noted if (future := one.future()) is not None and not future.done()]
