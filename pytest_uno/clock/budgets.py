"""How long the virtual clock waits for the world outside the loop, and how far it may run."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Budgets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """The limits of a virtual clock; real seconds unless a line says otherwise.

    Attributes:
        patience: how long work outside the loop freezes virtual time; after that time flows at real speed.
        quiet: how long a source that may be idle (a subscription, a subprocess) freezes virtual time when the test
            itself waits for time only.
        stall: how long nothing may come from outside before the run fails.
        busy_limit: how long tasks may keep the loop busy, with timers pending, before the run fails.
        deadlock_grace: the last chance for threads of this process before a deadlock is declared.
        deadlock_patience: the same for whoever could still come in: clients of a server, other processes, signals.
        limit: most virtual seconds since the clock's start.
        max_jumps: most jumps since the clock's start.
    """

    patience: float = 1.0
    quiet: float = 0.05
    stall: float = 60.0
    busy_limit: float = 30.0
    deadlock_grace: float = 0.1
    deadlock_patience: float = 2.0
    limit: float = 10 * 365 * 86400.0
    max_jumps: int = 2_000_000
