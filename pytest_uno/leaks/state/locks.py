"""UNO502 lock: a lock or semaphore that nobody is left to release.

asyncio's locks do not know who holds them. That is noted when one is acquired, with the line, and forgotten when it is
released, by whomever. Whoever still runs may release it yet, so a lock is judged when the task that acquired it has
ended. A pending task is judged itself; what it holds is a part of that.

A semaphore that is released by those who do not hold it is a counter of something, as of what is in a queue, and is
not judged.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Site, Sites
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["Locks"]

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)

AnyLock: TypeAlias = asyncio.Lock | asyncio.Semaphore


class _Hold:
    """One place of a lock that is taken."""

    __slots__ = ("kind", "lock", "number", "owner", "site", "task")

    def __init__(
        self, lock: AnyLock, task: asyncio.Task[Any] | None, owner: Owner, site: Site, number: int
    ) -> None:
        # A task that is held would keep its exception from being reported.
        self.task = None if task is None else weakref.ref(task)
        self.lock = weakref.ref(lock)  # the same one for each hold of a lock
        self.kind = type(lock)
        self.owner = owner
        self.site = site
        self.number = number


class Locks(FurtherDetector):
    """The detector of UNO502.

    Args:
        sites: records and resolves the sites.
        births: knows the test that runs.
    """

    def __init__(self, sites: Sites, births: TaskBirths) -> None:
        self._sites = sites
        self._births = births
        self._held: dict[int, list[_Hold]] = {}
        self._dropped: list[_Hold] = []
        self._counters: dict[int, weakref.ref[AnyLock]] = {}  # a user's class may not be hashable

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of asyncio's locks; a condition uses the methods of its lock."""
        reason = "a lock does not know who holds it, and since which line"
        return tuple(
            replace_attribute(kind, name, wrap, reason=reason)
            for kind in (asyncio.Lock, asyncio.Semaphore)
            for name, wrap in (("acquire", self._wrap_acquire), ("release", self._wrap_release))
        )

    def clear(self) -> None:
        """Let go of everything."""
        self._held.clear()
        self._dropped.clear()
        self._counters.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return what is held by those who are judged, and by no task that goes on."""
        if not self._held and not self._dropped:
            return []
        holds = [*self._dropped, *(hold for holds in self._held.values() for hold in holds)]
        holds.sort(key=_number_of)  # locks that are gone come first otherwise
        found: dict[tuple[int, Owner], list[_Hold]] = {}
        for hold in holds:
            # Others who go on are spared even at the end of a wider loop: theirs need not be on it.
            if hold.owner.ended or hold.owner is judgement.owner:
                if _is_done(hold):
                    found.setdefault((id(hold.lock), hold.owner), []).append(hold)
                else:
                    self._forget(hold)
        return [self._suspect(each) for each in found.values()]

    def _wrap_acquire(self, acquire: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
        # Everything that is needed often is a local here: this runs for every lock of the application.
        capture, owner_of, births, held = self._sites.capture_innermost, OWNER.get, self._births, self._held
        counters, dropped = self._counters, self._dropped
        current_task, numbers = asyncio.current_task, itertools.count()

        @functools.wraps(acquire)
        async def acquire_and_remember(lock: AnyLock) -> bool:
            __tracebackhide__ = True
            result = await acquire(lock)
            owner = owner_of() or births.current
            if owner is None or (counters and (ref := counters.get(id(lock))) is not None and ref() is lock):
                return result
            # Without any of the user's frames it is a library's own affair.
            if site := capture(_getframe(1)):
                hold = _Hold(lock, current_task(), owner, site, next(numbers))
                holds = held.get(id(lock))
                if holds is not None and holds[0].lock is hold.lock:
                    holds.append(hold)
                else:
                    if holds is not None:  # the lock that had this identity is gone, and was never released
                        dropped.extend(holds)
                    held[id(lock)] = [hold]
            return result

        return acquire_and_remember

    def _wrap_release(self, release: Callable[..., None]) -> Callable[..., None]:
        owner_of, births, held, counters = OWNER.get, self._births, self._held, self._counters

        @functools.wraps(release)
        def release_and_forget(lock: AnyLock) -> None:
            __tracebackhide__ = True
            release(lock)
            holds = held.get(id(lock))
            if holds is None or holds[0].lock() is not lock:
                key = id(lock)
                is_judged = owner_of() is not None or births.current is not None
                if is_judged and isinstance(lock, asyncio.Semaphore) and key not in counters:
                    counters[key] = weakref.ref(lock, lambda _: counters.pop(key, None))
            elif len(holds) == 1:
                del held[id(lock)]
            else:
                holds.remove(_own_hold(holds))

        return release_and_forget

    def _suspect(self, holds: list[_Hold]) -> Suspect:
        first = holds[0]
        lock = first.lock()

        def describe(owner: OwnerInfo) -> Finding:
            name = first.kind.__qualname__
            times = f", {len(holds)} times" if len(holds) > 1 else ""
            return Finding(
                rule="UNO502",
                subject=f"{name} is still held{times}",
                target=name,
                created=self._sites.resolve(first.site),
                waiting_at=(),
                awaited_by=None,
                owner=owner,
            )

        def adopt(owner: Owner) -> None:
            for hold in holds:
                hold.owner = owner

        def dispose() -> None:
            for hold in holds:
                self._forget(hold)
                if lock is not None:
                    self._held.setdefault(id(lock), []).insert(0, hold)
                    lock.release()

        # What a test has acquired itself in what a fixture shares, it has to release; what an object of the fixture
        # has acquired, the object may keep.
        is_direct = first.site[0].co_name == first.owner.name.partition("[")[0]
        return Suspect(first if is_direct or lock is None else lock, first.owner, describe, adopt, dispose)

    def _forget(self, hold: _Hold) -> None:
        if hold in self._dropped:
            self._dropped.remove(hold)
            return
        for key, holds in list(self._held.items()):
            if hold in holds:
                holds.remove(hold)
                if not holds:
                    del self._held[key]


def _own_hold(holds: list[_Hold]) -> _Hold:
    """Return the place that a release most likely gives back: one of the same task, else the oldest."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs here
        task = None
    own = (hold for hold in holds if task is not None and hold.task is not None and hold.task() is task)
    return next(own, holds[0])


def _is_done(hold: _Hold) -> bool:
    task = None if hold.task is None else hold.task()
    return task is None or task.done()


def _number_of(hold: _Hold) -> int:
    return hold.number
