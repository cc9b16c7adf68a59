"""Threads of the process that are not known by a future: is one of them at work for this loop?

What is awaited of a pool's threads and aiosqlite's is known by the futures they finish. What remains are threads that
user code or a library started, and pools whose work calls back: a look at the innermost Python frame tells whether such
a thread waits to be talked to. A thread that is older than the loop counts from the moment at which it is seen parked,
when the loop is made or soon after: it may be given work from then on. Until then it works for somebody else, unless it
called into an earlier loop a moment ago: such a thread is on its way to its next job, which may be this loop's.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent import futures
from math import inf
from typing import TYPE_CHECKING, Any

from pytest_uno.clock.asyncio_internals import active_threads
from pytest_uno.clock.budgets import Budgets
from pytest_uno.clock.parked_threads import Doing, Parking, parking_of, what_it_does
from pytest_uno.clock.pool_threads import PoolThread, all_rest, is_pool_thread
from pytest_uno.clock.real_time import monotonic
from pytest_uno.clock.reasons import Reason
from pytest_uno.core.thread_frames import current_frames

if TYPE_CHECKING:
    from pytest_uno.clock.outside_work import Look

__all__ = ["ForeignThreads"]

_TEST_RUNNER = frozenset(
    {"pytest_timeout", "pytest_rerunfailures", "xdist", "execnet", "coverage", "pytest_uno"}
)
"""Packages whose threads never work for a test."""

_TRACKED = _TEST_RUNNER | {"concurrent", "aiosqlite", "asyncio"}
"""Packages whose threads are known by their futures, or never work for a test."""

_PROBES: dict[tuple[str, str], Callable[[Any], bool]] = {
    ("anyio._backends._asyncio", "WorkerThread"): lambda thread: thread not in thread.idle_workers,
}
"""Thread classes that say exactly whether they are busy."""

_RESULT_DEPTH = 6
"""Frames between a thread's innermost one and `Future.result`, at most."""

_called_at: weakref.WeakKeyDictionary[threading.Thread, float] = weakref.WeakKeyDictionary()
"""The real moment at which a thread last called into any loop; each thread writes its own."""


class _Foreign:
    """A thread that may work for the loop."""

    __slots__ = (
        "identifier",
        "is_elsewhere",
        "is_on_its_way",
        "listens_since",
        "parking",
        "pooled",
        "probe",
        "works_since",
    )

    def __init__(
        self, identifier: int, probe: Callable[[Any], bool] | None, *, pooled: PoolThread | None = None
    ) -> None:
        self.identifier = identifier
        self.probe = probe
        self.pooled = pooled
        self.is_elsewhere = False
        self.is_on_its_way = False
        self.parking: Parking | None = None
        self.works_since: float | None = None
        self.listens_since: float | None = None

    @property
    def stays_parked(self) -> bool:
        """It was parked when it was last looked at, and nobody has woken it."""
        return self.parking is not None and not self.parking.is_left

    def begin_work(self, now: float) -> float:
        """Return the moment at which it began to work without a rest."""
        if self.works_since is None:
            self.works_since = now
        return self.works_since

    def begin_listening(self, now: float) -> float:
        """Return the moment at which it was first seen to listen: short works in between do not count."""
        self.works_since = None
        if self.listens_since is None:
            self.listens_since = now
        return self.listens_since


class ForeignThreads:
    """The threads beside one loop; `note_call` may be called from any thread, the rest in the loop's."""

    def __init__(self) -> None:
        self._active = active_threads()
        self._known = list(self._active.values())
        self._foreign: dict[threading.Thread, _Foreign] = {}
        self._callers: set[int] = set()
        self._is_watching = False
        self._timers_since: float | None = None
        if len(self._known) > 1:
            self._find_older()

    def may_hold(self) -> bool:
        """Say, cheaply, whether there is any thread to look at."""
        # Not by the keys or their number: the identifier of a thread that ended goes to the next one that starts.
        if list(self._active.values()) != self._known:
            return True
        if not self._foreign:
            return False
        pooled = [foreign.pooled for foreign in self._foreign.values() if foreign.pooled is not None]
        if not all(foreign.pooled or foreign.stays_parked for foreign in self._foreign.values()):
            return True
        return bool(pooled) and not all_rest(pooled)

    @property
    def change_silently(self) -> bool:
        """A thread's state may change without waking the loop: waits must be short."""
        return self._is_watching or bool(self._callers)

    def may_call(self) -> bool:
        """Say whether any other thread could still call into the loop."""
        mine = threading.get_ident()
        return any(
            identifier != mine and _package_of(thread) not in _TEST_RUNNER
            for identifier, thread in list(self._active.items())
        )

    def note_call(self, callback: Callable[..., object]) -> None:
        """Note that the current thread, not the loop's, calls into the loop."""
        module: str = getattr(callback, "__module__", None) or ""
        if module != "asyncio.futures" and not module.startswith("aiosqlite"):
            self._callers.add(threading.get_ident())  # not just a result that comes home
        thread = threading.current_thread()
        _called_at[thread] = monotonic()
        foreign = self._foreign.get(thread)
        if foreign is not None:
            foreign.works_since = None  # it is alive and talks: its patience begins anew
            if isinstance(thread, threading.Timer):
                self._timers_since = None

    def count_waiting_for_loop(self) -> int:
        """Count the pool threads that wait for the result of something they gave to this loop."""
        count = 0
        for identifier in list(self._callers):
            thread = self._active.get(identifier)
            if thread is None:
                self._callers.discard(identifier)
            elif self._is_known_by_future(thread) and self._waits_for_loop(identifier):
                count += 1
        return count

    def _is_known_by_future(self, thread: threading.Thread) -> bool:
        foreign = self._foreign.get(thread)
        return foreign is None or (foreign.pooled is not None and not foreign.pooled.works_unawaited())

    def _waits_for_loop(self, identifier: int) -> bool:
        if identifier not in self._callers:
            return False
        frame = current_frames().get(identifier)
        for _ in range(_RESULT_DEPTH):
            if frame is None:
                return False
            if (
                frame.f_code.co_name in ("result", "exception")
                and frame.f_globals.get("__name__") == "concurrent.futures._base"
            ):
                # A finished future has woken the thread, which has not run yet.
                future: futures.Future[Any] | None = frame.f_locals.get("self")
                return future is not None and not future.done()
            frame = frame.f_back
        return False

    def reasons(self, look: Look) -> Iterator[Reason]:
        """Yield what holds the clock."""
        if list(self._active.values()) != self._known:
            self._find_new()
        self._is_watching = False
        for thread, foreign in list(self._foreign.items()):
            if not thread.is_alive():
                del self._foreign[thread]
            elif foreign.is_elsewhere:
                yield from self._see_return(thread, foreign, look)
            elif foreign.pooled is not None and not foreign.pooled.works_unawaited():
                if foreign.pooled.may_wake_up:
                    if look.now - foreign.begin_work(look.now) < look.budgets.quiet:
                        self._is_watching = True
                        quiet = look.budgets.quiet
                        yield Reason(foreign.begin_work(look.now), quiet, False, f"thread {thread.name!r}")
                        continue
                    foreign.pooled.settle()
                foreign.works_since = None
            else:
                self._is_watching = True
                yield from self._look_at(thread, foreign, look)

    def _see_return(self, thread: threading.Thread, foreign: _Foreign, look: Look) -> Iterator[Reason]:
        patience = look.budgets.patience
        if self._is_free(foreign, patience):
            foreign.is_elsewhere = False
            foreign.works_since = None
        elif look.now - foreign.begin_work(look.now) > patience:
            del self._foreign[thread]
        elif foreign.is_on_its_way:
            self._is_watching = True
            yield Reason(foreign.begin_work(look.now), patience, False, f"thread {thread.name!r}")

    def _is_free(self, foreign: _Foreign, patience: float) -> bool:
        """Say whether a thread that is older than the loop has nothing to do."""
        if foreign.pooled is not None:
            return not foreign.pooled.works_unawaited()
        return self._look_into(foreign, patience) is Doing.PARKED

    def _look_at(self, thread: threading.Thread, foreign: _Foreign, look: Look) -> Iterator[Reason]:
        patience, quiet = look.budgets.patience, look.budgets.quiet
        if foreign.probe is not None:
            if foreign.probe(thread) and not self._waits_for_loop(foreign.identifier):
                yield Reason(foreign.begin_work(look.now), patience, True, f"thread {thread.name!r}")
            else:
                foreign.works_since = None
            return
        doing = self._look_into(foreign, patience)
        if doing is Doing.PARKED:
            foreign.works_since = None
        elif doing is Doing.WORK:
            flows = look.test_waits_for_more_than_time()
            yield Reason(foreign.begin_work(look.now), patience, flows, f"thread {thread.name!r}")
        elif isinstance(thread, threading.Timer) and look.test_waits_for_more_than_time():
            # It will fire within the patience. One patience for all that follow each other without calling the loop: a
            # timer that starts the next is a periodic one.
            if self._timers_since is None:
                self._timers_since = look.now
            yield Reason(self._timers_since, patience, False, f"threading.Timer {thread.name!r}")
        else:
            since = foreign.begin_listening(look.now)
            yield Reason(since, quiet, False, f"listening thread {thread.name!r}")

    @staticmethod
    def _look_into(foreign: _Foreign, patience: float) -> Doing:
        # The frames must not be kept: among them is that of this very call, and such a cycle would keep alive, until
        # the collector runs, whatever any thread has in its variables.
        frame = current_frames().get(foreign.identifier)
        doing = Doing.PARKED if frame is None else what_it_does(frame, patience)
        foreign.parking = parking_of(frame) if frame is not None and doing is Doing.PARKED else None
        return doing

    def _find_older(self) -> None:
        """Watch the threads that are older than the loop and may be given work."""
        patience = Budgets().patience
        for identifier, thread in dict(self._active).items():
            foreign = _foreign_of(identifier, thread)
            if foreign is None or foreign.probe is not None or identifier == threading.get_ident():
                continue
            if thread is threading.main_thread() or self._look_into(foreign, patience) is Doing.LISTEN:
                continue  # it serves somebody outside
            if not self._is_free(foreign, patience):
                foreign.is_elsewhere = True
                foreign.is_on_its_way = monotonic() - _called_at.get(thread, -inf) < patience
            self._foreign[thread] = foreign

    def _find_new(self) -> None:
        active = dict(self._active)
        for identifier, thread in active.items():
            if thread in self._known or thread in self._foreign:
                continue
            foreign = _foreign_of(identifier, thread)
            if foreign is not None:
                self._foreign[thread] = foreign
        self._known = list(active.values())


def _foreign_of(identifier: int, thread: threading.Thread) -> _Foreign | None:
    """Return how to watch a thread; None when there is no need."""
    if isinstance(thread, threading._DummyThread):  # pyright: ignore[reportPrivateUsage]
        return None  # made outside of Python; nothing is known of it
    if is_pool_thread(thread):
        return _Foreign(identifier, None, pooled=PoolThread(thread))
    probe = _PROBES.get((type(thread).__module__, type(thread).__name__))
    if probe is None and _package_of(thread) in _TRACKED:
        return None
    return _Foreign(identifier, probe)


def _package_of(thread: threading.Thread) -> str:
    module: str = getattr(getattr(thread, "_target", None), "__module__", None) or type(thread).__module__
    return module.partition(".")[0]
