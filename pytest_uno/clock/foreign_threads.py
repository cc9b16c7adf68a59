"""Threads of the process that are not known by a future: is one of them at work for this loop?

Pool threads and aiosqlite's threads are known by the futures they finish. What remains are threads that user code or
a library started: a look at the innermost Python frame tells whether such a thread waits to be talked to.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import TYPE_CHECKING, Any

from pytest_uno.clock.asyncio_internals import active_threads
from pytest_uno.clock.parked_threads import Doing, what_it_does
from pytest_uno.clock.reasons import Reason

if TYPE_CHECKING:
    from pytest_uno.clock.outside_work import Look

__all__ = ["ForeignThreads"]

_TRACKED = frozenset(
    {"concurrent", "aiosqlite", "asyncio", "pytest_timeout", "execnet", "coverage", "pytest_uno"}
)
"""Packages whose threads are known by their futures, or never work for a test."""

_PROBES: dict[tuple[str, str], Callable[[Any], bool]] = {
    ("anyio._backends._asyncio", "WorkerThread"): lambda thread: thread not in thread.idle_workers,
}
"""Thread classes that say exactly whether they are busy."""

_RESULT_DEPTH = 6
"""Frames between a thread's innermost one and `Future.result`, at most."""


class _Foreign:
    """A thread that may work for the loop."""

    __slots__ = ("identifier", "listens_since", "probe", "works_since")

    def __init__(self, identifier: int, probe: Callable[[Any], bool] | None) -> None:
        self.identifier = identifier
        self.probe = probe
        self.works_since: float | None = None
        self.listens_since: float | None = None

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
        self._known = list(self._active.values())  # whatever ran before this loop does not work for it
        self._foreign: dict[threading.Thread, _Foreign] = {}
        self._callers: set[int] = set()

    def may_hold(self) -> bool:
        """Say, cheaply, whether there is any thread to look at."""
        # Not by the keys or their number: the identifier of a thread that ended goes to the next one that starts.
        return bool(self._foreign) or list(self._active.values()) != self._known

    @property
    def change_silently(self) -> bool:
        """A thread's state may change without waking the loop: waits must be short."""
        return bool(self._foreign or self._callers)

    def note_call(self, callback: Callable[..., object]) -> None:
        """Note that the current thread, not the loop's, calls into the loop."""
        module: str = getattr(callback, "__module__", None) or ""
        if module != "asyncio.futures" and not module.startswith("aiosqlite"):
            self._callers.add(threading.get_ident())  # not just a result that comes home
        foreign = self._foreign.get(threading.current_thread())
        if foreign is not None:
            foreign.works_since = None  # it is alive and talks: its patience begins anew

    def count_waiting_for_loop(self) -> int:
        """Count the pool threads that wait for the result of something they gave to this loop."""
        count = 0
        for identifier in list(self._callers):
            thread = self._active.get(identifier)
            if thread is None:
                self._callers.discard(identifier)
            elif thread not in self._foreign and self._waits_for_loop(identifier):
                count += 1
        return count

    def _waits_for_loop(self, identifier: int) -> bool:
        if identifier not in self._callers:
            return False
        frame = sys._current_frames().get(identifier)  # pyright: ignore[reportPrivateUsage]
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
        if not self._foreign:
            return
        for thread, foreign in list(self._foreign.items()):
            if not thread.is_alive():
                del self._foreign[thread]
            elif foreign.probe is not None:
                if foreign.probe(thread) and not self._waits_for_loop(foreign.identifier):
                    yield Reason(
                        foreign.begin_work(look.now), look.budgets.patience, True, f"thread {thread.name!r}"
                    )
                else:
                    foreign.works_since = None
            else:
                doing = _look_at(foreign.identifier, look.budgets.patience)
                if doing is Doing.PARKED:
                    foreign.works_since = None
                elif doing is Doing.LISTEN:
                    since = foreign.begin_listening(look.now)
                    yield Reason(since, look.budgets.quiet, False, f"listening thread {thread.name!r}")
                else:
                    yield Reason(
                        foreign.begin_work(look.now),
                        look.budgets.patience,
                        look.test_waits_for_more_than_time(),
                        f"thread {thread.name!r}",
                    )

    def _find_new(self) -> None:
        active = dict(self._active)
        for identifier, thread in active.items():
            if thread in self._known or thread in self._foreign:
                continue
            target = getattr(thread, "_target", None)
            module = getattr(target, "__module__", None) or type(thread).__module__
            if isinstance(thread, threading._DummyThread):  # pyright: ignore[reportPrivateUsage]
                continue  # made outside of Python; nothing is known of it
            probe = _PROBES.get((type(thread).__module__, type(thread).__name__))
            if probe is None and module.partition(".")[0] in _TRACKED:
                continue
            self._foreign[thread] = _Foreign(identifier, probe)
        self._known = list(active.values())


def _look_at(identifier: int, patience: float) -> Doing:
    # The frames must not be kept: among them is that of this very call, and such a cycle would keep alive, until the
    # collector runs, whatever any thread has in its variables.
    frame = sys._current_frames().get(identifier)  # pyright: ignore[reportPrivateUsage]
    return Doing.PARKED if frame is None else what_it_does(frame, patience)
