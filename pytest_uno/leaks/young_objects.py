"""The objects that a test made, as the garbage collector keeps them: its young generations.

A full collection after each test would find all garbage and cost more than the test (500,000 live objects:
39 to 45 seconds for 300 tests, against 0.6 with this). So while a test runs, the threshold of the middle
generation is out of reach: automatic collections then look at the youngest objects only and keep the
survivors in generation 1, never further on. At the end, everything the test made is in generations 0 and 1,
and a look at their types says whether anything is worth a closer look.

If the test collected by hand, its objects may have moved on: then everything is looked at, once. A
collector that the user has disabled stays disabled: nothing is collected then, and nothing moves.

The incremental collector of the first releases of 3.14 has no middle generation: survivors of a young
collection join the old objects. There the threshold of the young generation itself is out of reach for the
time of a test. Later ones and 3.15 are generational again, so the collector is asked, not the version.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

__all__ = ["YoungObjects", "is_generational", "objects_of"]

_OUT_OF_REACH = 1_000_000

_CROWD = 500
"""Young objects that are worth a young collection: to look through more costs each test 20 microseconds a
thousand, and the collection that the raised threshold has put off would have come by now."""


class YoungObjects:
    """A window on the objects made between `open` and `close`; one window at a time.

    Args:
        generational: whether the collector has a middle generation; must be found out by `is_generational`.
    """

    def __init__(self, *, generational: bool = True) -> None:
        self._generations = (0, 1) if generational else (0,)
        self._before: tuple[int, int, int] | None = None
        self._during: tuple[int, int, int] = (0, 0, 0)
        self._collections = 0
        self._is_crowded = False

    def open(self) -> None:
        """Begin to keep new objects apart from older ones."""
        if self._before is not None:
            self.close()
        first, second, third = self._before = gc.get_threshold()
        if len(self._generations) == 2:
            self._during = (first, _OUT_OF_REACH, third)
        else:
            # Zero means "never", which the user has chosen then.
            self._during = (first and _OUT_OF_REACH, second, third)
        gc.set_threshold(*self._during)
        self._collections = self._count_collections()

    def close(self) -> None:
        """Let objects grow old again; thresholds that somebody has changed meanwhile stay as they are."""
        if self._before is not None and gc.get_threshold() == self._during:
            gc.set_threshold(*self._before)
        self._before = None
        if self._is_crowded and gc.isenabled():
            gc.collect(self._generations[-1])
        self._is_crowded = False

    def find(self, kinds: frozenset[type]) -> list[object]:
        """Return the objects of some types that were made since `open`, and possibly older ones.

        Args:
            kinds: the exact types.
        """
        if self._count_collections() != self._collections:
            return objects_of(kinds)
        found: list[object] = []
        for generation in self._generations:
            objects = gc.get_objects(generation)
            found += _of_kinds(objects, kinds)
            self._is_crowded |= len(objects) > _CROWD
        return found

    def collect(self) -> None:
        """Collect the garbage among the objects of the window, unless the user wants no collections.

        The survivors leave the window: `find` looks at everything from now on.
        """
        if not gc.isenabled():
            return
        if self._count_collections() != self._collections:
            gc.collect()
        else:
            gc.collect(self._generations[-1])

    def _count_collections(self) -> int:
        """Count the collections that move objects out of the window's generations."""
        stats = gc.get_stats()
        return sum(generation["collections"] for generation in stats[self._generations[-1] :])


def is_generational(collect: Callable[[int], object] = gc.collect) -> bool:
    """Find out whether survivors of a young collection stay apart from old objects.

    Args:
        collect: collects one generation.
    """
    if not gc.isenabled():
        return True  # nothing moves at all
    marker: list[object] = []
    collect(0)
    return any(item is marker for item in gc.get_objects(1))


def objects_of(kinds: frozenset[type]) -> list[object]:
    """Return all objects of some types, old and young.

    Args:
        kinds: the exact types.
    """
    return _of_kinds(gc.get_objects(), kinds)


def _of_kinds(objects: list[object], kinds: frozenset[type]) -> list[object]:
    # The set is built in C and most often says at once that there is nothing.
    if kinds.isdisjoint(set(map(type, objects))):
        return []
    return [item for item in objects if type(item) in kinds]
