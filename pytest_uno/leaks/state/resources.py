"""UNO501 resource: a resource that is still open when its owner ends.

The core reports what it opens and closes. The harness shuts the test's own manager down before it judges,
so that what remains belongs to a manager that the test made itself and did not shut down, or was entered
and never left.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pytest_uno.leaks.judging import Judgement, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Site, Sites

__all__ = ["OpenResources"]


@dataclass(slots=True, eq=False)
class _Opened:
    ref: Callable[[], object]
    kind: str
    name: str
    manager_name: str
    owner: Owner
    site: Site


class OpenResources:
    """The detector of UNO501, a `ResourceObserver`.

    Args:
        sites: records the sites.
    """

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._current: Owner | None = None
        self._open: dict[int, _Opened] = {}
        self._dropped: list[_Opened] = []

    def snapshot(self, owner: Owner) -> None:
        """Take note of the test."""
        self._current = owner

    def forget_test(self) -> None:
        """Take note of the end of the test."""
        self._current = None

    def opened(self, resource: object, *, name: str, manager_name: str) -> None:
        """Take note of a resource that is open from now on.

        Args:
            resource: the resource itself.
            name: its name.
            manager_name: the name of the manager it belongs to.
        """
        owner = OWNER.get() or self._current  # a thread has no owner of its own
        known = self._open.get(id(resource))
        if known is not None and known.ref() is resource:
            return  # an AsyncResource that a manager enters: both of them say so
        if owner is not None:
            site = self._sites.capture() or self._sites.capture_library()
            try:
                ref: Callable[[], object] = weakref.ref(resource)
            except TypeError:  # an object without weak references has to be held
                ref = partial(_same, resource)
            key = id(resource)
            if known is not None:  # the resource that had this identity is gone, and was never closed
                self._dropped.append(known)
            kind = type(resource).__qualname__
            self._open[key] = _Opened(ref, kind, name, manager_name, owner, site)

    def closed(self, resource: object) -> None:
        """Take note of a resource that is closed from now on.

        Args:
            resource: the resource.
        """
        self._open.pop(id(resource), None)

    def clear(self) -> None:
        """Forget every resource."""
        self._open.clear()
        self._dropped.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the open resources of those who are judged."""
        if not self._open and not self._dropped:
            return []
        # A resource has no loop, so the end of a wider loop spares those of owners that go on.
        return [
            self._suspect(opened)
            for opened in (*self._dropped, *self._open.values())
            if opened.owner.ended or opened.owner is judgement.owner
        ]

    def _suspect(self, opened: _Opened) -> Suspect:
        def describe(owner: OwnerInfo) -> Finding:
            return Finding(
                rule="UNO501",
                subject=f"resource {opened.name!r} of manager {opened.manager_name!r} is still open",
                target=opened.kind,
                created=self._sites.resolve(opened.site),
                waiting_at=(),
                awaited_by=None,
                owner=owner,
            )

        def adopt(owner: Owner) -> None:
            opened.owner = owner

        thing = opened.ref()
        # What is gone is held by nobody; None is held by everybody.
        held = opened if thing is None else thing
        return Suspect(held, opened.owner, describe, adopt, lambda: self._forget(opened))

    def _forget(self, opened: _Opened) -> None:
        if opened in self._dropped:
            self._dropped.remove(opened)
        else:
            self._open = {key: each for key, each in self._open.items() if each is not opened}


def _same(resource: object) -> object:
    return resource
