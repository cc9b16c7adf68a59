"""The sockets through which other threads wake a loop, kept for the loops that come after it.

Each loop of asyncio makes a pair of its own and closes it. That takes two thirds of the time that making and closing
a loop takes, and a run of tests makes a loop for each. A pair knows nothing of the loop that had it, so that the next
one can have it: nothing of a test reaches another in that way, as it would with a loop that is used again.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable

__all__ = ["WakeUpLoop", "WakeUpSockets"]

_BATCH = 4096


class WakeUpSockets:
    """Lends a pair of sockets to one loop after another; a loop that lives beside another gets one of its own.

    Must be used in one thread. In a process that was forked off it begins anew.
    """

    def __init__(self) -> None:
        self._pair: tuple[socket.socket, socket.socket] | None = None
        self._identities: tuple[int | None, ...] = ()
        self._process = 0
        self._is_lent = False

    def take(self) -> tuple[socket.socket, socket.socket]:
        """Return a pair for a loop: what it reads, and what is written to; both without blocking."""
        if self._is_lent:
            return _make_pair()
        pair, self._pair = self._pair, None
        if pair is None or not self._is_usable(pair):
            pair = _make_pair()
            self._identities = _identities(pair)
            self._process = os.getpid()
        if None not in self._identities:
            self._pair, self._is_lent = pair, True
        return pair

    def give_back(self, reader: socket.socket, writer: socket.socket) -> None:
        """Take a pair back from a loop that closes.

        Args:
            reader: what the loop read.
            writer: what was written to.
        """
        if self._is_lent and self._pair == (reader, writer):
            self._is_lent = False
        else:
            _close((reader, writer))

    def close(self) -> None:
        """Close the pair; if a loop has it, the loop will."""
        pair, self._pair = self._pair, None
        if pair is not None and not self._is_lent:
            _close(pair)
        self._is_lent = False

    def _is_usable(self, pair: tuple[socket.socket, socket.socket]) -> bool:
        """Say whether the next loop can have the pair; close it otherwise."""
        present = _identities(pair)
        if present == self._identities and self._process == os.getpid() and _read_all(pair[0]):
            return True
        # The parent process has it, too, and each would take the other's wake-ups; or the other end is gone; or
        # somebody has closed the descriptors by their numbers, and those may be somebody else's by now.
        for end, then, now in zip(pair, self._identities, present, strict=True):
            if then == now:
                end.close()
            else:
                end.detach()
        return False


class WakeUpLoop(asyncio.SelectorEventLoop):
    """The part of the virtual loop that takes such a pair and gives it back; asyncio calls it, in 3.11 to 3.15.

    Attributes:
        wake_up: lends the pair; must be set before asyncio's `__init__` runs. None makes one for this loop alone.
    """

    wake_up: WakeUpSockets | None

    _ssock: socket.socket | None
    _csock: socket.socket | None
    _internal_fds: int
    _add_reader: Callable[..., object]
    _remove_reader: Callable[[int], bool]
    _read_from_self: Callable[[], object]

    def wake_up_descriptor(self) -> int:
        """Return the descriptor that is ready to be read when another thread wakes the loop; the loop must be open."""
        assert self._ssock is not None
        return self._ssock.fileno()

    def _make_self_pipe(self) -> None:
        if self.wake_up is None:
            super()._make_self_pipe()  # type: ignore[misc]
            return
        self._ssock, self._csock = self.wake_up.take()
        self._internal_fds += 1
        self._add_reader(self._ssock.fileno(), self._read_from_self)

    def _close_self_pipe(self) -> None:
        reader, writer = self._ssock, self._csock
        if self.wake_up is None or reader is None or writer is None:
            super()._close_self_pipe()  # type: ignore[misc]
            return
        self._remove_reader(reader.fileno())
        self._ssock = self._csock = None
        self._internal_fds -= 1
        self.wake_up.give_back(reader, writer)


def _make_pair() -> tuple[socket.socket, socket.socket]:
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    return reader, writer


def _identities(pair: tuple[socket.socket, socket.socket]) -> tuple[int | None, ...]:
    """Return what tells sockets from whatever else may get their numbers; None where nothing does."""
    return tuple([_identity(end.fileno()) for end in pair])


def _identity(descriptor: int) -> int | None:
    if sys.platform == "win32":  # pragma: no cover - sockets are no files there
        return None
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return None


def _read_all(reader: socket.socket) -> bool:
    """Read the wake-ups that came too late for the last loop; return whether the other end is still there."""
    try:
        while reader.recv(_BATCH):
            pass
    except BlockingIOError:
        return True
    return False


def _close(pair: tuple[socket.socket, socket.socket]) -> None:
    for end in pair:
        end.close()
