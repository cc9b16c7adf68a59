"""What an exploration has found."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

__all__ = ["ExplorationReport", "Progress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an exploration is.

    Attributes:
        runs: schedules that have run.
        schedules: how many there will be at most.
        holds_done: schedules with one hold that have run.
        single_holds: how many of these there are.
    """

    runs: int
    schedules: int
    holds_done: int
    single_holds: int


@dataclass(slots=True, kw_only=True)
class ExplorationReport:
    """What an exploration has found.

    Attributes:
        failure: the exception of the schedule that fails; None when all passed.
        found_at: the number of the first schedule that failed, counted from 1; None when all passed.
        runs: schedules of the search; those that shrink, check and explain a failure do not count.
        exhausted: all schedules with one hold have run, and there is nothing else to try.
        token: what replays the failure, such as "io:13"; None when all passed.
        holds: the decisions at which an operation is put on hold; empty when no holds give the failure.
        explanation: the report of the failure, as text; "" when all passed.
        is_deterministic: replays of the failure had equal traces; None when that was not asked.
        delay_class: the weakest class of delays that gives the failure; None in stock order, or when all passed.
        single_holds: how many schedules with one hold there are.
        holds_done: how many of them have run.
        seconds: real seconds of the search.
    """

    failure: BaseException | None = None
    found_at: int | None = None
    runs: int = 0
    exhausted: bool = False
    token: str | None = None
    holds: tuple[int, ...] = ()
    explanation: str = ""
    is_deterministic: bool | None = None
    delay_class: str | None = None
    single_holds: int = 0
    holds_done: int = 0
    seconds: float = 0.0

    def __await__(self) -> Generator[None, None, ExplorationReport]:
        """Be itself when awaited, so that an async test may write `await uno_explore(...)`."""
        return self
        yield  # makes this a generator

    def raise_failure(self) -> None:
        """Raise the failure, if there is one, with its explanation as a note.

        Raises:
            BaseException: the failure.
        """
        if self.failure is not None:
            raise self.failure
