"""The objects that a test made, as the garbage collector keeps them: its young generations.

A full collection after each test would find all garbage and cost more than the test (500,000 live objects:
39 to 45 seconds for 300 tests, against 0.6 with this). So while a test runs, the middle generation is
collected later than usual: automatic collections then look at the youngest objects only and keep the
survivors in generation 1. At the end, most of what the test made is in generations 0 and 1, and a look at
their types says whether anything is worth a closer look.

Later, not never: what lives for a moment too long and then becomes a cycle is freed by a collection of
the middle generation only, and a test that makes such things all the time would grow without bound. So it
comes after some ten thousand objects, of one test or of many; and before a collection, by itself or by
hand, moves the objects of the window out of it, a callback of the collector takes weak references to
those of the wanted types.

To look at an object's type means to fetch it from memory, so that the number of objects is what counts. As
long as no collection has happened since the start, the youngest generation alone holds what the test made,
and for a small test that is all there is to look at. So it is emptied at the start if there is much in it,
and gets room for what a test makes. It holds its objects in the order they were made: what stands before a
mark that is made at the start is older than the test.

A collector that the user has disabled stays disabled: nothing is collected then, and nothing moves. So the
youngest generation grows without end, and is looked through only while that is cheap.

The incremental collector of the first releases of 3.14 has no middle generation: survivors of a young
collection join the old objects. There the threshold of the young generation itself is raised for the time
of a test. Later ones and 3.15 are generational again, so the collector is asked, not the version.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

__all__ = ["YoungObjects", "is_generational", "objects_of"]

_ROOM = 20_000
"""Young objects, net of those that went, that a test may make before the window is collected: some tens of
megabytes of garbage at most, and far more than most tests ever make."""

_COMPACT_AT = 4096
"""Length at which the list of weak references is rid of the dead ones."""

_CROWD = 500
"""Young objects that are worth a young collection: to look through more costs each test 20 microseconds a
thousand, and the collection that the raised threshold has put off would have come by now."""


_MUCH = 400
"""Objects in the youngest generation that are too many to look through again with the next test. Emptying it more often
costs more than it spares: a young collection visits whatever its objects know. In 1,500 trivial tests the collections
and the looks take 65 ms together with 150, 38 with 300, 34 with 500."""

_TOO_MANY = 50_000
"""Objects in the youngest generation, with the collector disabled, that are too many to look through after a test."""


class YoungObjects:
    """A window on the objects of some types made between `open` and `close`; one window at a time.

    Args:
        kinds: the exact types; their objects must take weak references.
        generational: whether the collector has a middle generation; must be found out by `is_generational`.
    """

    def __init__(self, kinds: frozenset[type], *, generational: bool = True) -> None:
        self._kinds = kinds
        self._generations = (0, 1) if generational else (0,)
        self._before: tuple[int, int, int] | None = None
        self._during: tuple[int, int, int] = (0, 0, 0)
        self._collections = 0
        self._mark: object = None
        self._moved: list[weakref.ref[object]] = []
        self._limit = _COMPACT_AT
        self._is_crowded = False
        self._has_moved = False
        self._callback = self._note  # one object, so that it can be told from others

    def open(self, *, after_others: bool = False) -> None:
        """Begin to keep new objects apart from older ones.

        Args:
            after_others: others than a window have made objects since the last one was closed. What they have dropped
                goes now: later it would go at any moment, and be taken for a thing of the window that is open then.
        """
        if self._before is not None:
            self.close()
        first, second, third = self._before = gc.get_threshold()
        is_enabled = gc.isenabled()
        # A threshold of zero means "never", which the user has chosen then.
        if is_enabled and after_others:
            gc.collect(0)
        if len(self._generations) == 2:
            present = gc.get_count()[0]
            if is_enabled and present > _MUCH:
                gc.collect(0)
            elif is_enabled and first:
                first += max(present, 0)
            self._during = (first, max(second, _ROOM // max(first, 1)), third)
        else:
            self._during = (first and max(first, _ROOM), second, third)
        gc.set_threshold(*self._during)
        self._collections = self._count_collections()
        if len(self._generations) == 2 and is_enabled:
            self._mark = []
        gc.callbacks.append(self._callback)

    def close(self) -> None:
        """Let objects grow old again; thresholds that somebody has changed meanwhile stay as they are."""
        if self._before is not None:
            if gc.get_threshold() == self._during:
                gc.set_threshold(*self._before)
            if gc.callbacks and gc.callbacks[-1] is self._callback:  # as always, if nobody else adds one
                gc.callbacks.pop()
            elif self._callback in gc.callbacks:
                gc.callbacks.remove(self._callback)
        self._before = self._mark = None
        if self._has_moved:
            self._moved.clear()
            self._limit = _COMPACT_AT
            self._has_moved = False
        if (self._is_crowded or self._is_middle_due()) and gc.isenabled():
            gc.collect(self._generations[-1])
        self._is_crowded = False

    def find(self, *, older: bool = False) -> list[object]:
        """Return the objects that were made since `open`, and possibly older ones.

        Args:
            older: also return those that were young before `open`.
        """
        if self._mark is not None and not older:
            made = _of_kinds_after(self._mark, gc.get_objects(0), self._kinds)
            if made is not None:
                return made
        if self._count_collections() != self._collections:  # somebody has removed the callback
            self._has_moved = True
            return objects_of(self._kinds)
        found = [thing for ref in self._moved if (thing := ref()) is not None] if self._moved else []
        if gc.get_count()[0] > _TOO_MANY and not gc.isenabled():
            return found
        for generation in self._generations:
            objects = gc.get_objects(generation)
            found += _of_kinds(objects, self._kinds)
            self._is_crowded |= len(objects) > _CROWD
        return found

    def collect(self) -> None:
        """Collect the garbage among the objects of the window, unless the user wants no collections."""
        if gc.isenabled():
            gc.collect(2 if self._has_moved else self._generations[-1])

    def _is_middle_due(self) -> bool:
        """Say whether the middle generation has been put off for long enough.

        It is collected by itself after an automatic young collection only, and small tests never come to one: emptying
        the youngest generation between them leaves too little in it.
        """
        first, second, _ = self._during
        return len(self._generations) == 2 and first > 0 and gc.get_count()[1] > second

    def _note(self, phase: str, info: dict[str, int]) -> None:
        """Remember what is in the window before a collection moves it out."""
        if phase != "start" or info["generation"] < self._generations[-1]:
            return
        self._has_moved = True
        self._collections += 1
        for generation in self._generations:
            self._moved += map(weakref.ref, _of_kinds(gc.get_objects(generation), self._kinds))
        if len(self._moved) > self._limit:
            self._moved[:] = [ref for ref in self._moved if ref() is not None]
            self._limit = max(_COMPACT_AT, 2 * len(self._moved))

    def _count_collections(self) -> int:
        """Count the collections that move objects out of the window."""
        return sum(each["collections"] for each in gc.get_stats()[self._generations[-1] :])


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


def _of_kinds_after(mark: object, objects: list[object], kinds: frozenset[type]) -> list[object] | None:
    """Return the objects behind the mark; None if it is not there: a collection of whatever kind has moved it on."""
    found: list[object] = []
    for item in reversed(objects):
        if item is mark:
            return found[::-1]
        if type(item) in kinds:
            found.append(item)
    return None


def _of_kinds(objects: list[object], kinds: frozenset[type]) -> list[object]:
    # The set is built in C and most often says at once that there is nothing.
    if kinds.isdisjoint(set(map(type, objects))):
        return []
    return [item for item in objects if type(item) in kinds]
