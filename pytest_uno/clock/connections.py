"""The stream sockets of a loop: which have both ends here, and where bytes are under way.

Each transport's socket is wrapped in a counter. A pair whose two ends belong to this loop needs the clock only while
bytes are between them. A connection to the outside needs it from the request to the reply, and for a moment after each
piece that came.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import struct
import weakref
from asyncio import selector_events
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, cast

from pytest_uno.clock.real_time import monotonic
from pytest_uno.clock.reasons import Reason

if TYPE_CHECKING:
    from pytest_uno.clock.outside_work import Look

__all__ = ["Connections", "SocketCounter", "VirtualSocketTransport"]

_Address = tuple[Any, Any]

_MOST_FRESH = 64
"""Transports that are made before those are sorted out that are gone already."""


class SocketCounter:
    """Stands for a transport's socket and counts the bytes through it.

    Attributes:
        sent: bytes sent.
        received: bytes received.
        expects_reply: something was sent after the last thing that was received.
        sent_at: the real moment at which that was first seen to hold the clock.
        received_at: the real moment at which the last piece was first seen; None until then.
        latency: real seconds of the slowest reply so far.
        last_traffic: the loop-wide number of the last traffic here; 0 without any.
        exchange_began: the number of what was received last before the request that is or was answered.
    """

    # Not in a dictionary: of a class with `__getattr__`, CPython looks such attributes up three times as slowly.
    __slots__ = (
        *(
            "exchange_began",
            "expects_reply",
            "last_traffic",
            "latency",
            "received",
            "received_at",
            "sent",
            "sent_at",
        ),
        *("_socket", "_traffic", "__weakref__"),
    )

    def __init__(self, sock: socket.socket, traffic: list[int]) -> None:
        self._socket = sock
        self._traffic = traffic
        self.sent = self.received = self.last_traffic = self.exchange_began = 0
        self.expects_reply = False
        self.sent_at: float | None = None
        self.received_at: float | None = 0.0
        self.latency = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def _count_sent(self, size: int) -> int:
        self.sent += size
        if not self.expects_reply:
            self.exchange_began = self.last_traffic
            self.expects_reply = True
        self.sent_at = None
        traffic = self._traffic
        self.last_traffic = traffic[0] = traffic[0] + 1
        return size

    def _count_received(self, size: int) -> None:
        self.received += size
        self.expects_reply = False
        if self.sent_at is not None:
            self.latency = max(self.latency, monotonic() - self.sent_at)
            self.sent_at = None
        self.received_at = None
        traffic = self._traffic
        self.last_traffic = traffic[0] = traffic[0] + 1

    @property
    def is_within_process(self) -> bool:
        """It is a unix socket, and its other end is in this process."""
        return self._socket.family == getattr(socket, "AF_UNIX", None) and _has_peer_in_process(self._socket)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, data: Any, *flags: int) -> int:
        """Send and count, see `socket.send`."""
        return self._count_sent(self._socket.send(data, *flags))

    def sendmsg(self, buffers: Any, *options: Any) -> int:
        """Send and count, see `socket.sendmsg`."""
        return self._count_sent(self._socket.sendmsg(buffers, *options))

    def recv(self, size: int, *flags: int) -> bytes:
        """Receive and count, see `socket.recv`."""
        data = self._socket.recv(size, *flags)
        self._count_received(len(data))
        return data

    def recv_into(self, buffer: Any, *options: int) -> int:
        """Receive and count, see `socket.recv_into`."""
        size = self._socket.recv_into(buffer, *options)
        self._count_received(size)
        return size


class VirtualSocketTransport(selector_events._SelectorSocketTransport):  # type: ignore[name-defined,misc]
    """asyncio's transport of a stream socket, with its bytes counted.

    Attributes:
        counter: the count.
        is_lost: it has no connection any more.
    """

    is_lost = False
    _buffer: Any
    _closing: bool
    _paused: bool
    _sock: Any
    _sock_fd: int

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        *args: Any,
        connections: Connections,
        **options: Any,
    ) -> None:
        super().__init__(loop, sock, *args, **options)  # pyright: ignore[reportUnknownMemberType]
        self._sock = self.counter = SocketCounter(sock, connections.traffic)
        self._connections = connections
        connections.add(self)

    @functools.cached_property
    def is_within_process(self) -> bool:
        """A unix socket whose other end is in this process."""
        return self.counter.is_within_process

    @functools.cached_property
    def address(self) -> _Address | None:
        """The two ends of a TCP connection, ours first; None for others."""
        return _address_of(cast("asyncio.Transport", self))

    @property
    def descriptor(self) -> int:
        """The socket's descriptor."""
        return self._sock_fd

    @property
    def has_unsent_bytes(self) -> bool:
        """Bytes wait for the socket to take them."""
        return bool(self._buffer)

    @property
    def takes_bytes(self) -> bool:
        """It takes what comes: it is neither paused nor closing."""
        return not (self._paused or self._closing)

    def _call_connection_lost(self, exc: BaseException | None) -> None:
        self.is_lost = True
        self._connections.discard(self)  # first: the protocol's `connection_lost` may fail
        super()._call_connection_lost(exc)  # pyright: ignore[reportUnknownMemberType]


def _address_of(transport: asyncio.Transport) -> _Address | None:
    ends: list[Any] = [transport.get_extra_info(end) for end in ("sockname", "peername")]
    return (ends[0][:2], ends[1][:2]) if all(type(end) is tuple for end in ends) else None


def _ends(sock: socket.socket) -> _Address | None:
    try:
        return sock.getsockname()[:2], sock.getpeername()[:2]
    except OSError:
        return None


def _name(sock: socket.socket) -> Any:
    try:
        return sock.getsockname()[:2]
    except OSError:
        return None


def _has_peer_in_process(sock: socket.socket) -> bool:
    """Ask who is at the other end of a unix socket; Linux only, elsewhere it counts as outside."""
    try:
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return bool(struct.unpack("3i", credentials)[0] == os.getpid())
    except (OSError, AttributeError):
        return False


class Connections:
    """The stream transports of one loop; must be used in the loop's thread.

    Args:
        answered: transports that do not hold the clock: what has come to them is kept back.

    Attributes:
        traffic: one number, the count of sends and receives on all of them.
        exchanges: the connections with the outside on which anything was said, as of the last look.
    """

    def __init__(self, answered: Collection[object] = ()) -> None:
        self._answered = answered
        self.traffic = [0]
        self.last_outside_traffic = 0
        self.expects_reply = False
        # Most connections of a test come and go without that the clock has to ask for them.
        self._fresh: list[weakref.ref[VirtualSocketTransport]] = []
        self._open: weakref.WeakSet[VirtualSocketTransport] = weakref.WeakSet()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._by_address: weakref.WeakValueDictionary[_Address, VirtualSocketTransport] = (
            weakref.WeakValueDictionary()
        )

    def __bool__(self) -> bool:
        return bool(self._fresh or self._open)

    def add(self, transport: VirtualSocketTransport) -> None:
        """Take in a new transport."""
        self._fresh.append(weakref.ref(transport))
        if len(self._fresh) > _MOST_FRESH:
            self._open_ones()

    def discard(self, transport: VirtualSocketTransport) -> None:
        """Drop a transport that lost its connection."""
        self._open.discard(transport)

    def _open_ones(self) -> list[VirtualSocketTransport]:
        """Return the transports that have a connection, having sorted in what was made since the last look."""
        for ref in self._fresh:
            transport = ref()
            if transport is not None:
                if not transport.is_lost:
                    self._open.add(transport)
                if transport.address is not None:
                    self._by_address[transport.address] = transport
        self._fresh.clear()
        return list(self._open)

    def partner(self, transport: VirtualSocketTransport) -> VirtualSocketTransport | None:
        """Return the transport at the other end, if it belongs to this loop, too."""
        if transport.address is None:
            return None
        if self._fresh:
            self._open_ones()
        mine, its = transport.address
        return self._by_address.get((its, mine))

    def inner_descriptors(self) -> set[int]:
        """Return the descriptors of connections with both ends in this process."""
        return {t.descriptor for t in self._open_ones() if t.is_within_process or self.partner(t) is not None}

    def note_socket(self, sock: socket.socket) -> None:
        """Note a plain socket that is used with the loop's `sock_*` methods."""
        self._sockets.add(sock)

    def is_socket_within_process(self, sock: socket.socket) -> bool:
        """Say whether the other end of a plain socket is known to be in this process.

        Args:
            sock: a socket used with the loop's `sock_*` methods.
        """
        if sock.family == getattr(socket, "AF_UNIX", None):
            return _has_peer_in_process(sock)
        ends = _ends(sock)
        if ends is None:
            return False
        mine, its = ends
        self._open_ones()
        # A socket with the other end's address is the other end itself, or listens for it.
        return (its, mine) in self._by_address or any(
            _name(other) == its for other in list(self._sockets) if other is not sock
        )

    def reasons(self, look: Look) -> Iterator[Reason]:
        """Yield what holds the clock."""
        patience, quiet = look.budgets.patience, look.budgets.quiet
        self.exchanges: list[SocketCounter] = []
        unix_in_flight = 0
        unix_since = 0.0
        for transport in self._open_ones():
            counter = transport.counter
            if transport in self._answered:
                continue
            if transport.is_within_process:  # nothing tells which two belong together: only the sum does
                unix_in_flight += counter.sent - counter.received
                if counter.sent and counter.sent_at is None:
                    counter.sent_at = look.now
                unix_since = max(unix_since, counter.sent_at or 0.0)
                continue
            partner = self.partner(transport)
            if partner is not None:
                if partner in self._answered:
                    continue
                if partner.takes_bytes and (
                    counter.sent > partner.counter.received or transport.has_unsent_bytes
                ):
                    yield Reason(
                        self._sent_at(counter, look), patience, False, "bytes in flight within the loop"
                    )
                elif partner.counter.received > counter.sent:
                    counter.sent = partner.counter.received  # `loop.sendfile` sends past the counter
                continue
            if counter.last_traffic:
                self.exchanges.append(counter)
            if counter.expects_reply or transport.has_unsent_bytes:
                yield Reason(self._sent_at(counter, look), patience, False, "reply from outside")
                continue
            if counter.received_at is None:
                counter.received_at = look.now
            echo = max(quiet, 2 * counter.latency)
            if look.now - counter.received_at < echo and look.test_waits_for_more_than_time():
                yield Reason(counter.received_at, echo, False, "connection that just spoke")
        if unix_in_flight > 0:
            yield Reason(unix_since or look.now, patience, False, "bytes in flight on unix sockets")

    @staticmethod
    def _sent_at(counter: SocketCounter, look: Look) -> float:
        if counter.sent_at is None:
            counter.sent_at = look.now
        return counter.sent_at
