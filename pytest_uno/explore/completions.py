"""The completions that are under way on one loop, and which of them may arrive next.

The rule: a completion may be late, never early. So what may arrive is what has happened already, or what is due at a
later moment while nothing is ready to run; and never more than these bounds allow:

- first in, first out for what one task waits for, and for what one source sends;
- a sleep of `d` seconds ends before `jitter * d`, everything else within 0.05 * `jitter` seconds of virtual time, so
  that loops which poll come to an end;
- nothing that is due is passed over a thousand times, so that loops which poll with `sleep(0)` do, too.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import Any

from pytest_uno.explore.asyncio_internals import must_cancel
from pytest_uno.explore.operations import YIELD, Operation

__all__ = ["IO_LATENESS", "PASSES", "Completions"]

IO_LATENESS = 0.05
"""Virtual seconds, times jitter, by which a reply from outside may be late at most."""

PASSES = 1000
"""How often a completion that is due may be passed over."""


class Completions:
    """The operations under way, ordered by when they are due; must be used in the loop's thread.

    Attributes:
        pending: the operations, the one due first in front.
        has_hidden: the last answer left something out that stands behind what it names.
    """

    __slots__ = ("has_hidden", "pending")

    def __init__(self) -> None:
        self.has_hidden = False
        self.pending: list[Operation] = []

    def add(self, operation: Operation) -> None:
        """Note an operation that has begun."""
        pending = self.pending
        if pending:
            last = pending[-1]
            # Written out, `operation < last`: a call for each that begins.
            if operation.when < last.when or (
                operation.when == last.when and operation.sequence < last.sequence
            ):
                insort(pending, operation)
                return
        pending.append(operation)

    def prune(self, forget: Callable[[Operation], object]) -> int:
        """Drop what was cancelled, and a `sleep(0)` whose task was.

        Args:
            forget: told of each that is dropped.

        Returns:
            How many of those that are left stand in the ready queue.
        """
        cancelled: list[Operation] = []
        in_ready = 0
        for one in self.pending:
            handle = one.handle
            if (handle is not None and handle.cancelled()) or (one.kind is YIELD and must_cancel(one.task)):
                cancelled.append(one)
            elif one.is_in_ready:
                in_ready += 1
        for one in cancelled:
            self.pending.remove(one)
            forget(one)
        return in_ready

    def due(self, now: float) -> list[Operation]:
        """Return the first of each task and each source of what may arrive at the present moment."""
        pending = self.pending
        if len(pending) == 1:
            self.has_hidden = False
            return pending[:] if pending[0].when <= now else []
        heads = self._heads(now)
        for one in heads:
            if one.passed > PASSES:
                self.has_hidden = True
                return [one]
        return heads

    def later(self, now: float, horizon: float) -> list[Operation]:
        """Return the first of each task and each source of what is due after the present moment.

        Args:
            now: the present moment.
            horizon: the moment up to which time may move, in virtual seconds.
        """
        pending = self.pending
        if len(pending) == 1:
            one = pending[0]
            return pending[:] if now < one.when <= horizon else []
        for one in pending:
            if one.latest < horizon:
                horizon = one.latest
        return [one for one in self._heads(horizon) if one.when > now]

    def _heads(self, until: float) -> list[Operation]:
        self.has_hidden = False
        heads: list[Operation] = []
        tasks: set[int] = set()  # by identity: their hash is a function of their own
        sources: set[Any] = set()
        for one in self.pending:
            if one.when > until:
                break
            task, source = id(one.task), one.source
            if task not in tasks and source not in sources:
                heads.append(one)
            else:
                self.has_hidden = True
            if one.task is not None:
                tasks.add(task)
            if source is not None:
                sources.add(source)
        return heads
