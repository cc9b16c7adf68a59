"""What completions come from, told apart for the length of a schedule.

Not by the address: what is made when something is gone may get the same one, or not, as the memory happens to be used.
A strategy that remembers its sources would then choose otherwise in each run.
"""

from __future__ import annotations

import asyncio
import weakref

__all__ = ["Sources"]


class Sources:
    """Numbers for the sources of one loop, none of them given twice; must be used in the loop's thread."""

    __slots__ = ("_made", "_numbers")

    def __init__(self) -> None:
        self._numbers: weakref.WeakKeyDictionary[object, int] = weakref.WeakKeyDictionary()
        self._made = 0

    def number(self, owner: object, handle: asyncio.Handle) -> int:
        """Return the number of a source.

        Args:
            owner: what the callback is a method of; None where the callback itself is the source.
            handle: the callback.
        """
        source = handle if owner is None else owner
        try:
            known = self._numbers.get(source)
        except TypeError:  # it takes no weak reference, or has no hash
            return self.number(None, handle)
        if known is None:
            self._made += 1
            known = self._numbers[source] = self._made
        return known
