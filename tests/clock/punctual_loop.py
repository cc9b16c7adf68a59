"""asyncio's own loop in real time, which knows how late it was."""

from __future__ import annotations

import asyncio
import selectors
import time

__all__ = ["PunctualLoop"]


class _PunctualSelector(selectors.SelectSelector):
    """Can wait for less than a millisecond, which epoll cannot, and measures how late all is done that is due."""

    def __init__(self) -> None:
        super().__init__()
        self._latest = 0.0
        self._due = time.monotonic()  # when the work since the last wait should have begun

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        self._latest = self.measure_latest()
        self._due = time.monotonic() + timeout
        return super().select(timeout)

    def measure_latest(self) -> float:
        return max(self._latest, time.monotonic() - self._due)


class PunctualLoop(asyncio.SelectorEventLoop):
    """A `SelectorEventLoop` on the real clock."""

    def __init__(self) -> None:
        self._punctual_selector = _PunctualSelector()
        super().__init__(self._punctual_selector)

    def measure_latest(self) -> float:
        """Return the seconds by which a callback may have run after its deadline, at most."""
        return self._punctual_selector.measure_latest()
