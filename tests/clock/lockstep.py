"""A clock by hand, and what runs in lockstep with it; no loop needed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime

from pytest_uno.clock.wall_clock import WallClock


class HandClock:
    """A virtual clock that moves when it is told to."""

    def __init__(self, moment: float = 0.0) -> None:
        self.moment = moment

    def time(self) -> float:
        return self.moment


class HandWall(WallClock):
    """A wall clock together with the clock by hand that it follows."""

    def __init__(self, start: datetime | str | None = "2026-01-01", *, moment: float = 0.0) -> None:
        self.clock = HandClock(moment)
        super().__init__(self.clock)
        if start is not None:
            self.start_at(start)

    def jump(self, seconds: float) -> None:
        self.clock.moment += seconds

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Do what a loop does around running."""
        self.enter()
        try:
            yield
        finally:
            self.exit()
