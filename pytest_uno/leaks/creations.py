"""Things by where they were made, and whose they are: what most detectors need to know of what they watch.

A constructor is patched (`hooks.replace_attribute`), and notes each new object here. At the end of its owner somebody
asks which of them are still open. Objects are held weakly; one that is dropped while it is open is handed over as it
goes, since nobody can find it later.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Site, Sites

__all__ = ["Creation", "Creations"]

T = TypeVar("T")


@dataclasses.dataclass(slots=True, eq=False)
class Creation(Generic[T]):
    """One object that was made.

    Attributes:
        ref: a weak reference to it.
        owner: who made it; None while no test and no fixture runs.
        site: where.
    """

    ref: Callable[[], T | None]
    owner: Owner | None
    site: Site


class Creations(Generic[T]):
    """The objects of one kind that were made while tests ran; may be used from any thread.

    Args:
        sites: records the sites.
        current: returns the test that runs, for threads, which have no owner of their own.
        dropped: called with the creation when an object goes that was not forgotten before.
    """

    def __init__(
        self,
        sites: Sites,
        current: Callable[[], Owner | None],
        dropped: Callable[[Creation[T]], None] | None = None,
    ) -> None:
        self._sites = sites
        self._current = current
        self._dropped = dropped
        self._by_id: dict[int, Creation[T]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def note(self, thing: T, site: Site | None = None) -> Creation[T]:
        """Note an object that was just made.

        Args:
            thing: the object; must take weak references.
            site: where; None if the caller's caller made it.
        """
        key = id(thing)

        def gone(_: object) -> None:
            creation = self._by_id.pop(key, None)
            if creation is not None and self._dropped is not None:
                self._dropped(creation)

        site = site or self._sites.capture() or self._sites.capture_library()
        creation = Creation(weakref.ref(thing, gone), OWNER.get() or self._current(), site)
        self._by_id[key] = creation
        return creation

    def get(self, thing: object) -> Creation[T] | None:
        """Return what is known of an object.

        Args:
            thing: any object.
        """
        creation = self._by_id.get(id(thing))
        return creation if creation is not None and creation.ref() is thing else None

    def forget(self, thing: object) -> None:
        """Forget an object that was closed, or reported.

        Args:
            thing: any object.
        """
        self._by_id.pop(id(thing), None)

    def living(self) -> Iterator[tuple[T, Creation[T]]]:
        """Yield the objects that live, in the order in which they were made."""
        for creation in list(self._by_id.values()):
            thing = creation.ref()
            if thing is not None:
                yield thing, creation

    def clear(self) -> None:
        """Forget every object."""
        self._by_id.clear()
