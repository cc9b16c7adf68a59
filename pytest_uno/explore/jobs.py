"""Jobs that threads do for the loop, and the letters by which threads call in.

What is on offer must not depend on how fast the machine is. So before each choice the loop waits, in real time and
for a bounded while, until every job that it has handed over has answered, and takes the answers in the order in which
the jobs were handed over. For the same reason a job is not handed over before the one before it has answered, again
for a bounded while: which of two threads gets the lock of a database first is then no accident. A job that keeps the
loop waiting for longer is slow: it is not waited for any more, and its answer comes when it comes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from asyncio import Handle
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pytest_uno.explore.providers import Submission

__all__ = ["GRACE", "IN_TURN", "Job", "Jobs", "Letter"]

GRACE = 0.2
"""Real seconds for which the loop waits for the jobs in flight."""

_GRACE_WITH_HOPE = 0.6
"""Real seconds for which it waits for a slow job that should be able to go on: SQLite looks every 0.1 seconds."""

IN_TURN = 0.02
"""Real seconds for which a job is kept back so that the one before it can end."""

_FIRST_SLICE, _LONGEST_SLICE = 0.001, 0.02
"""Real seconds between two looks at whether the threads wait for the loop."""

_real_time = time.monotonic


class Job:
    """A job in flight.

    Attributes:
        future: what it finishes.
        task: the task that handed it over.
        source: what answers in order; None without one.
        sequence: its place in the order in which jobs were handed over.
        what: what does it, in words.
        frees: slow jobs may be able to go on when it is over.
        is_answered: its answer is in the box.
        is_slow: it has kept the loop waiting for too long.
    """

    __slots__ = ("frees", "future", "is_answered", "is_slow", "sequence", "source", "task", "what")

    def __init__(
        self,
        future: asyncio.Future[Any],
        task: asyncio.Task[Any] | None,
        submission: Submission,
        sequence: int,
    ) -> None:
        self.future = future
        self.task = task
        self.source = submission.source
        self.frees = submission.frees
        self.sequence = sequence
        self.what = submission.what
        self.is_answered = False
        self.is_slow = False


class Letter(NamedTuple):
    """What a thread has called in with.

    Attributes:
        handle: the callback.
        job: the job that it answers; None when it is no answer.
        thread: the native id of the thread; its address may be that of a later thread, too.
    """

    handle: Handle
    job: Job | None
    thread: int


class Jobs:
    """The jobs and letters of one loop; only `put` may be called in other threads.

    Attributes:
        in_flight: the jobs without an answer, by the identity of their futures.
        box: the letters that were not read.
        were_slow: how many jobs were not waited for to their end.
    """

    __slots__ = ("_arrived", "_count_blocked", "_has_hope", "box", "in_flight", "were_slow")

    def __init__(self, count_blocked: Callable[[], int]) -> None:
        self.in_flight: dict[int, Job] = {}
        self.box: deque[tuple[Handle, object, int]] = deque()
        self.were_slow = 0
        self._has_hope = False
        self._arrived = threading.Event()
        self._count_blocked = count_blocked

    def put(self, handle: Handle, about: object, thread: int) -> None:
        """Take a letter; may be called in any thread.

        Args:
            handle: the callback.
            about: its first argument: the future that it finishes, if it is an answer.
            thread: the native id of the thread that calls.
        """
        job = self.in_flight.get(id(about))
        self.box.append((handle, about, thread))
        if job is not None:
            job.is_answered = True
        self._arrived.set()

    def is_answer(self, about: object) -> bool:
        """Say whether something is the future of a job in flight."""
        return id(about) in self.in_flight

    def forget(self) -> None:
        """Drop every job and letter: the loop is closed."""
        self.in_flight.clear()
        self.box.clear()

    def read(self) -> list[Letter]:
        """Return the letters, answers in the order of their jobs, and note that the jobs are over."""
        letters: list[Letter] = []
        box, in_flight = self.box, self.in_flight
        while box:
            handle, about, thread = box.popleft()
            job = in_flight.pop(id(about), None)
            letters.append(Letter(handle, job, thread))
            if job is not None and job.frees:
                for other in in_flight.values():
                    self._has_hope |= other.is_slow
                    other.is_slow = False
        if len(letters) > 1:
            letters.sort(key=_by_submission)
        return letters

    def wait(self, seconds: float) -> None:
        """Wait for every job that is not slow, for real and at most so long.

        Args:
            seconds: real seconds; jobs that take longer stay in flight.
        """
        end: float | None = None
        slice_ = _FIRST_SLICE
        while True:
            self._arrived.clear()
            missing = 0
            for key, job in list(self.in_flight.items()):
                if job.future.done() and not (job.future.cancelled() or job.is_answered):
                    del self.in_flight[key]  # it was over when its future was made, and sends no answer
                elif not (job.is_answered or job.is_slow):
                    missing += 1
            if not missing:
                return
            now = _real_time()
            if end is None:
                end = now + seconds
            left = end - now
            if left <= 0:
                return
            if not self._arrived.wait(min(left, slice_)) and self._count_blocked() >= missing:
                return  # the threads wait for this loop
            slice_ = min(2 * slice_, _LONGEST_SLICE)

    def settle(self) -> None:
        """Wait for the jobs in flight; those that do not end in time are slow from then on."""
        self.wait(_GRACE_WITH_HOPE if self._has_hope else GRACE)
        self._has_hope = False
        for job in self.in_flight.values():
            if not (job.is_answered or job.is_slow):
                job.is_slow = True
                self.were_slow += 1


def _by_submission(letter: Letter) -> int:
    return letter.job.sequence if letter.job is not None else _LAST


_LAST = 1 << 62
