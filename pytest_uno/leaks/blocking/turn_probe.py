"""Tells when a loop begins its next turn, and costs the turns nothing that nobody asks about.

The loop asks its selector once a turn. A function that stands in the place of `select` is there for one call only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_uno.leaks.asyncio_internals import selector_of

__all__ = ["TurnProbe"]


class TurnProbe:
    """Waits for the next turn of one loop at a time; may be used in any thread.

    Args:
        on_turn: called in the loop's thread, once for each time that the probe is planted.
    """

    def __init__(self, on_turn: Callable[[], None]) -> None:
        self._on_turn = on_turn
        self._selector: Any = None
        self._planted: object = None

    def plant(self, loop: object) -> bool:
        """Wait for the next turn of a loop; does nothing if that is waited for.

        Args:
            loop: the loop.

        Returns:
            Whether it could be done: only for asyncio's loops, and unless somebody else replaces their `select`.
        """
        selector: Any = selector_of(loop)
        if selector is None:
            return False
        if selector is self._selector:
            return True
        self.remove()
        kind: Any = type(selector)  # pyright: ignore[reportUnknownVariableType]
        # Not by its dictionary: an object of which CPython has once made that is slower from then on.
        if getattr(selector.select, "__func__", None) is not kind.select:
            return False

        def select(timeout: float | None = None) -> Any:
            # By itself, whatever the probe has come to wait for meanwhile in another thread.
            if selector.select is select:
                del selector.select
            if self._planted is select:
                self._selector = self._planted = None
            self._on_turn()
            return kind.select(selector, timeout)

        self._selector, self._planted = selector, select
        selector.select = select
        return True

    def remove(self) -> None:
        """Wait no longer."""
        selector, planted = self._selector, self._planted
        self._selector = self._planted = None
        if selector is not None and selector.select is planted:
            del selector.select
