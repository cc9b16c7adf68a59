"""asyncio's own loop on a clock that the test owns: ties are decided as in real time, without waiting for it."""

from __future__ import annotations

import asyncio
import math
import selectors

__all__ = ["SteadyLoop"]

READING = 1e-9  # seconds that pass with each look at the clock


class _SteadySelector(selectors.SelectSelector):
    """Lets the wait that the loop asks for pass at once."""

    now = 0.0
    readings = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "the loop would wait for ever"
        if timeout > 0:
            # The deadline is a whole second and the delay that its task had then. The loop wakes late by the
            # delay that it has now, so that deadlines of the same second are due together.
            deadline = self.now + self.readings * READING + timeout
            self.now = float(math.floor(deadline + READING / 2))
        return super().select(0)


class SteadyLoop(asyncio.SelectorEventLoop):
    """A `SelectorEventLoop` whose code takes no time but a nanosecond for each look at the clock.

    A clock that flows makes real deadlines differ: of two timers for the same moment, the one made first is due first.
    Here that holds, too, however long a program gets. All delays must be whole seconds.
    """

    def __init__(self) -> None:
        self._steady_selector = _SteadySelector()
        super().__init__(self._steady_selector)

    def time(self) -> float:
        selector = self._steady_selector
        selector.readings += 1
        return selector.now + selector.readings * READING
