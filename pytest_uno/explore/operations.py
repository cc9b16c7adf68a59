"""What the explorer chooses among: completions that may arrive now, and the moves that bring none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import Handle

__all__ = ["FIRE", "GO", "IO", "SLEEP", "YIELD", "Operation"]

IO, SLEEP, YIELD = "io", "sleep", "yield"
"""The classes of completions: what a program waits for outside, `sleep(d)`, and `sleep(0)`."""

GO = "go"
"""Run what is ready; what is left may come later."""

FIRE = "deadline"
"""Let a time-out fire although something that it waits for could still come."""


class Operation:
    """A completion that is under way, or one of the moves without one.

    Attributes:
        kind: `io`, `sleep`, `yield`, `go` or `deadline`.
        when: the earliest moment at which it may arrive, in virtual seconds.
        latest: the moment past which nothing else may overtake it.
        sequence: its place among all that are due at the same moment; also what it is recognised by.
        source: where it comes from, and comes in order; None for what has no order.
        handle: the callback that it brings.
        task: the task that waits, if it is known.
        answers: the future or transport that it is for, where the clock knows of it.
        is_in_ready: it stands among the ready callbacks already (`sleep(0)`).
        passed: how often something else ran first although it was due.
        priority: of a strategy that gives each operation one; negative until then.
        what: what it is, in words, for the trace.
    """

    __slots__ = (
        "answers",
        "handle",
        "is_in_ready",
        "kind",
        "latest",
        "passed",
        "priority",
        "sequence",
        "source",
        "task",
        "what",
        "when",
    )

    def __init__(
        self,
        kind: str,
        when: float,
        latest: float,
        sequence: int,
        source: object,
        handle: Handle | None,
        task: asyncio.Task[Any] | None,
        what: str = "",
    ) -> None:
        self.kind = kind
        self.when = when
        self.latest = latest
        self.sequence = sequence
        self.source = source
        self.handle = handle
        self.task = task
        self.what = what
        self.answers: object = None
        self.is_in_ready = False
        self.passed = 0
        self.priority = -1.0

    def __lt__(self, other: Operation) -> bool:
        return self.when < other.when or (self.when == other.when and self.sequence < other.sequence)

    def __repr__(self) -> str:
        return f"<{self.kind} #{self.sequence} due {self.when:g}>"
