"""The oracle of locks: one of the world that was free and is held now, with nobody left to release it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from pytest_uno.explore.injection.oracles import Remains, Scene
from pytest_uno.explore.injection.world import roots_of, walk

__all__ = ["HeldLocks"]


class HeldLocks:
    """Looks for locks and semaphores that the operation has not released.

    Args:
        roots: where to look for them.
    """

    is_late = False

    def __init__(self, roots: Mapping[str, object]) -> None:
        self._free = {
            path: (lock, _places(lock))
            for path, lock in walk(roots)
            if isinstance(lock, asyncio.Lock | asyncio.Semaphore) and not lock.locked()
        }

    @classmethod
    async def begin(cls, scene: Scene) -> HeldLocks:
        """Begin.

        Args:
            scene: the run.
        """
        return cls(roots_of(scene.world, scene.functions))

    async def look(self) -> Sequence[Remains]:
        """Return the locks that are held, unless there are other tasks, which may hold or release them."""
        if not self._free or len(asyncio.all_tasks()) > 1:
            return []
        return [
            Remains(f"{path} is held: {type(lock).__name__}", may_be_meant=True)
            for path, (lock, places) in self._free.items()
            if lock.locked() or _places(lock) < places
        ]

    def dispose(self) -> None:
        """Do nothing: each run has a world of its own."""


def _places(lock: asyncio.Lock | asyncio.Semaphore) -> int:
    places: int = getattr(lock, "_value", 0)  # of a semaphore, which tells of its last place only
    return places
