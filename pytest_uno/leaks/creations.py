"""Things by where they were made, and whose they are: what most detectors need to know of what they watch.

A constructor is patched (`hooks.replace_attribute`), and notes each new object here. At the end of its owner somebody
asks which of them are still open. Objects are held weakly; one that is dropped while it is open is handed over as it
goes, since nobody can find it later.
"""

from __future__ import annotations

import asyncio
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
        key: the identity of the object, which it has kept as long as it lived.
        loop: a weak reference to the loop it belongs to, for those that ask for that.
    """

    ref: Callable[[], T | None]
    owner: Owner | None
    site: Site
    key: int
    loop: weakref.ref[asyncio.AbstractEventLoop] | None = None


class Creations(Generic[T]):
    """The objects of one kind that were made while tests ran; may be used from any thread.

    Args:
        sites: records the sites.
        current: returns the test that runs, for threads, which have no owner of their own.
        dropped: called with the creation when an object goes that was not forgotten before.
        by_finalizer: a patched finalizer takes the objects out with `take`. It alone sees what state they are in, and
            in a collection of garbage it runs after the callbacks of weak references.
    """

    def __init__(
        self,
        sites: Sites,
        current: Callable[[], Owner | None],
        dropped: Callable[[Creation[T]], None] | None = None,
        *,
        by_finalizer: bool = False,
    ) -> None:
        self._sites = sites
        self._current = current
        self._dropped = dropped
        self._by_finalizer = by_finalizer
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
        ref = weakref.ref(thing) if self._by_finalizer else weakref.ref(thing, gone)
        creation = Creation(ref, OWNER.get() or self._current(), site, key)
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

    def take(self, thing: object) -> Creation[T] | None:
        """Forget an object and return what was known of it, even where weak references to it are dead already.

        Args:
            thing: an object that is about to go.
        """
        return self._by_id.pop(id(thing), None)

    def living(self) -> Iterator[tuple[T, Creation[T]]]:
        """Yield the objects that live, in the order in which they were made."""
        for creation in list(self._by_id.values()):
            thing = creation.ref()
            if thing is not None:
                yield thing, creation

    def clear(self) -> None:
        """Forget every object."""
        self._by_id.clear()
