"""The datagram endpoints of a loop: which wait for a reply from outside.

A datagram to another endpoint of the same loop is there as soon as it is sent: a look at the descriptors finds it. One
to the outside may bring a reply, and nothing tells whether it will. The clock waits for it; an endpoint whose datagram
went without a reply for the whole patience only tells (statsd, syslog), and holds no more until something is received.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import weakref
from asyncio import selector_events
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from pytest_uno.clock.real_time import monotonic
from pytest_uno.clock.reasons import Reason

if TYPE_CHECKING:
    from pytest_uno.clock.outside_work import Look

__all__ = ["Datagrams", "VirtualDatagramTransport"]


_HostAndPort = tuple[str, int]
_ANY = ("0.0.0.0", "::")


class DatagramCounter:
    """Stands for an endpoint's socket and counts the datagrams to and from the outside.

    Attributes:
        unanswered: datagrams sent, less those received since.
        sent_at: the real moment at which the oldest of these was first seen to hold the clock.
        replied_at: the real moment of the last reply; None while none came since the last question.
        latency: real seconds of the slowest reply so far.
        is_one_way: nothing is expected to come back.
    """

    __slots__ = (
        "is_one_way",
        "latency",
        "replied_at",
        "sent_at",
        "unanswered",
        *("_datagrams", "_peer", "_socket"),
    )

    def __init__(self, sock: socket.socket, datagrams: Datagrams) -> None:
        self._socket = sock
        self._datagrams = datagrams
        try:
            self._peer = sock.getpeername()
        except OSError:  # not connected
            self._peer = None
        self.unanswered = 0
        self.sent_at: float | None = None
        self.replied_at: float | None = None
        self.latency = 0.0
        self.is_one_way = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def forget_questions(self) -> None:
        """Expect no reply to what was sent so far."""
        self.unanswered = 0
        self.sent_at = self.replied_at = None

    def send(self, data: Any) -> int:
        """Send to the connected address and count, see `socket.send`."""
        size = self._socket.send(data)
        self._count_sent(self._peer)
        return size

    def sendto(self, data: Any, address: Any) -> int:
        """Send and count, see `socket.sendto`."""
        size = self._socket.sendto(data, address)
        self._count_sent(address)
        return size

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        """Receive and count, see `socket.recvfrom`."""
        try:
            data, sender = self._socket.recvfrom(size)
        except (BlockingIOError, InterruptedError):  # pragma: no cover - the system woke the loop for nothing
            raise
        except OSError:  # "nobody listens there" is an answer, too
            self._count_reply()
            raise
        if not self._datagrams.is_within_loop(sender):
            self._count_reply()
        return data, sender

    def _count_sent(self, address: Any) -> None:
        if self._datagrams.is_within_loop(address):
            return
        if not self.is_one_way:
            self.unanswered += 1
            self.replied_at = None

    def _count_reply(self) -> None:
        now = monotonic()
        self.is_one_way = False
        if self.unanswered:
            self.unanswered -= 1
            self.replied_at = now
        if self.sent_at is not None:
            self.latency = max(self.latency, now - self.sent_at)
            self.sent_at = None


class VirtualDatagramTransport(selector_events._SelectorDatagramTransport):  # type: ignore[name-defined,misc]
    """asyncio's transport of a datagram socket, with its datagrams counted.

    Attributes:
        counter: the count.
    """

    _sock: Any

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        *args: Any,
        datagrams: Datagrams,
        **options: Any,
    ) -> None:
        super().__init__(loop, sock, *args, **options)  # pyright: ignore[reportUnknownMemberType]
        self._sock = self.counter = DatagramCounter(sock, datagrams)
        self._datagrams = datagrams
        datagrams.add(self)

    @property
    def name(self) -> Any:
        """The socket's own address; None once it is closed."""
        try:
            return self.counter.getsockname()
        except OSError:
            return None

    def _call_connection_lost(self, exc: BaseException | None) -> None:
        self._datagrams.discard(self)  # first: the protocol's `connection_lost` may fail
        super()._call_connection_lost(exc)  # pyright: ignore[reportUnknownMemberType]


class Datagrams:
    """The datagram endpoints of one loop; must be used in the loop's thread."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[VirtualDatagramTransport] = weakref.WeakSet()

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, transport: VirtualDatagramTransport) -> None:
        """Take in a new endpoint."""
        self._open.add(transport)

    def discard(self, transport: VirtualDatagramTransport) -> None:
        """Drop an endpoint that is closed."""
        self._open.discard(transport)

    def is_within_loop(self, address: Any) -> bool:
        """Say whether an address is that of an endpoint of this loop.

        Args:
            address: as the `socket` module has it: host and port, or the path of a unix socket.
        """
        return any(_leads_to(address, transport.name) for transport in list(self._open))

    def reasons(self, look: Look) -> Iterator[Reason]:
        """Yield what holds the clock."""
        patience, quiet = look.budgets.patience, look.budgets.quiet
        for transport in list(self._open):
            counter = transport.counter
            if not counter.unanswered:
                continue
            if counter.replied_at is not None:  # some replies came; there need not be one to each datagram
                echo = max(quiet, 2 * counter.latency)
                if look.now - counter.replied_at < echo and look.test_waits_for_more_than_time():
                    yield Reason(counter.replied_at, echo, False, "further reply by datagram")
                else:
                    counter.forget_questions()
                continue
            if counter.sent_at is None:
                counter.sent_at = look.now
            if look.now - counter.sent_at < patience:
                yield Reason(counter.sent_at, patience, False, "reply by datagram")
            else:
                counter.is_one_way = True
                counter.forget_questions()


def _leads_to(address: object, name: object) -> bool:
    """Say whether what is sent to an address comes to the socket of this name."""
    if not (isinstance(address, tuple) and isinstance(name, tuple)):
        return address is not None and address == name
    to, at = cast("_HostAndPort", address), cast("_HostAndPort", name)
    if to[1] != at[1]:
        return False
    host, own = to[0].removeprefix("::ffff:"), at[0].removeprefix("::ffff:")
    return (
        host == own
        or (own in _ANY and _is_local(host))
        or (host in ("localhost", *_ANY) and _is_local(own))  # the system sends these to a local address
    )


def _is_local(host: str) -> bool:
    if host in ("localhost", *_ANY):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
