"""Replies from outside the process's own loop: servers in other threads and processes, whose answers are on their way.

They are waited for as jobs are, in real time and for a bounded while, so that what is on offer depends on the requests
and not on how fast a server is; and they are numbered in the order in which their connections were made.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from pytest_uno.clock.connections import VirtualSocketTransport
from pytest_uno.clock.real_time import monotonic
from pytest_uno.explore.jobs import GRACE

if TYPE_CHECKING:
    from pytest_uno.clock.outside_work import OutsideWork
    from pytest_uno.explore.operations import Operation

__all__ = ["Replies"]


class Replies:
    """The connections that one loop has made to others; must be used in the loop's thread.

    Args:
        outside: what the clock knows of them.

    Attributes:
        has_connections: at least one has been made.
        were_slow: how often a reply was given up.
    """

    __slots__ = ("_given_up", "_made", "_numbers", "_outside", "has_connections", "were_slow")

    def __init__(self, outside: OutsideWork) -> None:
        self._outside = outside
        self._made = 0
        self.has_connections = False
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._given_up: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self.were_slow = 0

    def note(self, made: VirtualSocketTransport | asyncio.Future[Any]) -> None:
        """Note a connection that this loop has made, or what waits for one that it makes."""
        self._made += 1
        self._numbers[made] = self._made
        self.has_connections |= isinstance(made, VirtualSocketTransport)

    def wait(self, look: Callable[[float], object]) -> None:
        """Wait for every reply that is on its way, for real; what takes too long is given up until the next request.

        Args:
            look: takes in what comes within so many real seconds.
        """
        awaited = self._awaited()
        end = monotonic() + GRACE
        while awaited and (left := end - monotonic()) > 0:
            look(left)
            awaited = self._awaited()
        for transport in awaited:
            self._given_up[transport] = transport.counter.sent
            self.were_slow += 1

    def order(self, pending: list[Operation]) -> None:
        """Give what has come the order in which the connections were made, whatever the servers did.

        Needed before each choice: replies come in while the loop idles, too, in the order of their servers.

        Args:
            pending: every operation that is under way; sorted in place.
        """
        numbers = self._numbers
        if not numbers:
            return
        mine = [one for one in pending if one.answers is not None and one.answers in numbers]
        if len(mine) < 2:
            return
        places = sorted(one.sequence for one in mine)
        mine.sort(key=lambda one: (one.when, numbers[one.answers]))
        for one, place in zip(mine, places, strict=True):
            one.sequence = place
        pending.sort()

    def _awaited(self) -> list[VirtualSocketTransport]:
        answered, given_up = self._outside.answered, self._given_up
        partner = self._outside.connections.partner
        return [
            transport
            for transport in list(self._numbers)
            if isinstance(transport, VirtualSocketTransport)
            and transport.counter.expects_reply
            and transport not in answered
            and given_up.get(transport) != transport.counter.sent
            and not cast("asyncio.Transport", transport).is_closing()
            and not transport.is_within_process
            and partner(transport) is None
        ]
