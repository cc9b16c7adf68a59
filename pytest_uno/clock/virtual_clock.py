"""The clock of a virtual loop, as a test sees it: read it, steer it, ask what held it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import heapq
import math
import weakref
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_uno.clock.await_graph import capture_await_graph
from pytest_uno.clock.budgets import Budgets
from pytest_uno.clock.real_time import monotonic
from pytest_uno.clock.timers import COARSE, quantise
from pytest_uno.core.errors import ClockError, compose_message

if TYPE_CHECKING:
    from pytest_uno.clock.reasons import Reason
    from pytest_uno.clock.virtual_loop import VirtualEventLoop
    from pytest_uno.clock.wall_clock import WallClock

__all__ = ["VirtualClock"]

TaskT = TypeVar("TaskT", bound="asyncio.Task[Any]")

_TASKS_SHOWN = 50


class VirtualClock:
    """Virtual time of one loop: `loop.clock`, and the fixture `uno_clock`.

    Must be used in the loop's thread, except `time`, `elapsed` and `picture`.

    Args:
        loop: the loop.
        start: the virtual time to begin with, in seconds.
        budgets: how long to wait for the outside, and how far to go.

    Attributes:
        start: the loop's time at which the clock, or the test, began, in seconds.
        budgets: the limits in force.
        jumps: how often time jumped to a timer since `start`.
        held: real seconds for which the outside held the clock since `start`.
        held_by: the same by what held it; sources that hold at the same time count fully, each.
        deadline: the moment at which what runs fails with `ClockTimeoutError`; timers due exactly then still fire.
        describe_task: says what stands next to a task's name in pictures.
        extra_jumps: jumps beyond the budget that the clean-up after a failure gets.
    """

    def __init__(self, loop: VirtualEventLoop, *, start: float, budgets: Budgets) -> None:
        self._loop_reference = weakref.ref(
            loop
        )  # a cycle would keep each test's loop until the collector runs
        self._now = quantise(float(start))
        self._real_origin: float | None = None
        self._steps = 0
        self._settlers: list[asyncio.Future[None]] = []
        self._advances: list[tuple[float, int, asyncio.Future[None]]] = []
        self._pauses = 0
        self._wall: WallClock | None = None
        self.budgets = budgets
        self.describe_task: Callable[[asyncio.Task[Any]], str | None] | None = None
        self.reset()

    def reset(self) -> None:
        """Begin anew at the present moment, as each test on a shared loop does."""
        self.start = self.time()
        self.jumps = 0
        self.extra_jumps = 0
        self.held = 0.0
        self.held_by: dict[str, float] = {}
        self.deadline: float | None = None
        self._wall = None

    @property
    def _loop(self) -> VirtualEventLoop:
        loop = self._loop_reference()
        if loop is None:
            raise ClockError(
                compose_message(
                    "the loop of this clock does not exist any more",
                    cause="the clock was kept after its test",
                    fix="use the clock of the running test only",
                    anchor="clock-steering",
                )
            )
        return loop

    # -- reading
    def time(self) -> float:
        """Return the loop's time, in seconds; what `loop.time()` returns."""
        if self._real_origin is None:
            return self._now
        return self._now + (monotonic() - self._real_origin)

    @property
    def elapsed(self) -> float:
        """Seconds of the loop's time since `start`."""
        return quantise(self.time() - self.start)

    @property
    def is_virtual(self) -> bool:
        """Time is virtual; False while the loop runs on real time."""
        return self._real_origin is None

    def picture(self) -> str:
        """Draw the unfinished tasks: where each stands, what it waits for, and who holds that.

        The main task comes first. Of more than 50 tasks, those that wait for each other come next.
        """
        graph = capture_await_graph(
            self._loop, label=self._label, is_first=self._loop.runs_for, limit=_TASKS_SHOWN
        ).render(limit=_TASKS_SHOWN)
        moments = self._loop.next_moments()
        timers = (
            "no timer"
            if not moments
            else f"next timer{'s' * (len(moments) > 1)} at "
            + ", ".join(f"{moment:.9g} s" for moment in moments)
        )
        return f"{graph}\n{'virtual' if self.is_virtual else 'real'} time {self.time():.9g} s, {timers}"

    def _label(self, task: asyncio.Task[Any]) -> str | None:
        return (
            "the main task"
            if self.describe_task is None and self._loop.runs_for(task)
            else (None if self.describe_task is None else self.describe_task(task))
        )

    # -- steering
    async def settle(self) -> None:
        """Wait, without moving time, until every other task waits for time or for another task.

        What goes on outside the loop is waited for as well, as far as the clock's patience reaches.

        Raises:
            ClockError: the loop runs on real time, or it is another loop that runs.
        """
        self._check_steering("settle()", is_awaited=True)
        future: asyncio.Future[None] = asyncio.Future(loop=self._loop)
        self._settlers.append(future)
        await future

    async def advance(self, seconds: float) -> None:
        """Move time, firing each timer on the way at its moment, those of the last moment included.

        Returns when all that became ready has run until it waits again.

        Args:
            seconds: how far, at least 0; with 0 what is due now runs.

        Raises:
            ClockError: the loop runs on real time, or it is another loop that runs.
            ValueError: `seconds` is negative or not finite.

        Example:
            async with asyncio.TaskGroup() as group:
                job = group.create_task(nightly_job())
                await uno_clock.advance(86_400)
        """
        self._check_steering("advance()", is_awaited=True)
        target = quantise(self._now + _check_seconds("advance", seconds))
        future: asyncio.Future[None] = asyncio.Future(loop=self._loop)
        self._steps += 1
        entry = (target, self._steps, future)
        heapq.heappush(self._advances, entry)
        try:
            await future
        finally:
            if entry in self._advances:  # cancelled on the way
                self._advances.remove(entry)
                heapq.heapify(self._advances)

    def leap(self, seconds: float) -> None:
        """Set time forward at once; timers on the way fire afterwards, all late.

        What a suspended machine does to a program.

        Args:
            seconds: how far, at least 0.

        Raises:
            ClockError: the loop runs on real time.
            ValueError: `seconds` is negative or not finite.
        """
        self._check_steering("leap()")
        self.set_time(quantise(self._now + _check_seconds("leap", seconds)))

    @contextlib.contextmanager
    def paused(self) -> Generator[VirtualClock]:
        """Let time move by `advance` and `leap` only, for the length of a block.

        Raises:
            ClockError: the loop runs on real time.
        """
        self._check_steering("paused()")
        self._pauses += 1
        try:
            yield self
        finally:
            self._pauses -= 1

    @contextlib.contextmanager
    def hold(self, reason: str = "hold()") -> Generator[VirtualClock]:
        """Keep time from moving while something that the clock cannot see is at work, for the length of a block.

        Args:
            reason: what is at work, for `held_by` and messages.
        """
        key = object()
        outside = self._loop.outside
        outside.holds[key] = reason
        outside.is_noted = True
        try:
            yield self
        finally:
            del outside.holds[key]

    def background(self, task: TaskT) -> TaskT:
        """Let what a task waits for outside the loop never hold the clock.

        Args:
            task: for example one that listens to a subscription.

        Returns:
            The task.
        """
        self._loop.outside.background.add(task)
        return task

    # -- the wall clock
    def now(self) -> datetime.datetime:
        """Return the date and time, aware, in UTC, and let the wall clock follow virtual time from here on.

        Without `start=` and before `travel_to`, the first call returns the real time. On real time it is the real
        time, always.
        """
        if not self.is_virtual:
            return datetime.datetime.now(datetime.UTC)
        return self.wall.now()

    def travel_to(self, moment: datetime.datetime | str) -> None:
        """Set the wall clock, forward or back; the loop's time and its timers stay.

        Args:
            moment: a date and time, or one written as ISO 8601; without a zone it is UTC.

        Raises:
            ClockError: the loop runs on real time.
            ValueError: `moment` is not a date and time.
        """
        self._check_steering("travel_to()")
        self.wall.travel_to(moment)

    @property
    def wall(self) -> WallClock:
        """The wall clock that goes with this clock."""
        if self._wall is None:
            from pytest_uno.clock.wall_clock import WallClock

            self._wall = WallClock(self)
            if self._loop.is_running():
                self._wall.enter()
        return self._wall

    @property
    def used_wall(self) -> WallClock | None:
        """The wall clock, if anybody has asked for it."""
        return self._wall

    # -- for the loop and the harness
    def run_real(self) -> None:
        """Let the loop run on real time from here on; must be called while it does not run."""
        if self._real_origin is None:
            self._real_origin = monotonic()
            self._loop.switch_clock()
            if self._wall is not None:
                self._wall.stop()

    def run_virtual(self) -> None:
        """Let the loop run on virtual time from here on; must be called while it does not run."""
        if self._real_origin is not None:
            self._now = quantise(self.time())
            self._real_origin = None
            self._loop.switch_clock()

    @property
    def moves_by_itself(self) -> bool:
        """Time may jump without being told to: the clock is not paused."""
        return not self._pauses

    def set_time(self, moment: float) -> None:
        """Set virtual time."""
        self._now = moment
        if moment >= COARSE:
            self._loop.note_time(moment)

    def count_held(self, seconds: float, reasons: Iterable[Reason]) -> None:
        """Count real seconds for which the clock was held."""
        self.held += seconds
        for label in {reason.label for reason in reasons}:
            self.held_by[label] = self.held_by.get(label, 0.0) + seconds

    @property
    def has_settlers(self) -> bool:
        """Somebody waits in `settle`."""
        return bool(self._settlers)

    def wake_settlers(self) -> bool:
        """Let `settle` return; False when nobody is in it."""
        settlers, self._settlers = self._settlers, []
        waiting = [future for future in settlers if not future.done()]
        for future in waiting:
            future.set_result(None)
        return bool(waiting)

    def next_target(self) -> float:
        """Return the next moment that `advance` goes to; infinity without one."""
        return self._advances[0][0] if self._advances else math.inf

    def wake_advance(self) -> None:
        """Let the `advance` that has arrived return."""
        heapq.heappop(self._advances)[2].set_result(None)  # a cancelled one left before the loop came to rest

    def _check_steering(self, what: str, *, is_awaited: bool = False) -> None:
        if not self.is_virtual:
            raise ClockError(
                compose_message(
                    f"{what} needs virtual time, and this loop runs on real time",
                    cause="the test has clock='real', or the run has uno_clock = real",
                    fix="remove clock='real', or do not steer the clock",
                    anchor="clock-steering",
                )
            )
        if is_awaited and asyncio.get_running_loop() is not self._loop:
            raise ClockError(
                compose_message(
                    f"{what} was awaited on another loop than the clock's own",
                    cause="the clock belongs to the test, and this code runs in a loop of another thread",
                    fix="await it in a task of the test's own loop",
                    anchor="clock-steering",
                )
            )


def _check_seconds(method: str, seconds: float) -> float:
    if not 0 <= seconds < math.inf:
        raise ValueError(
            compose_message(
                f"{method}({seconds!r}): time moves forward only, by a finite number of seconds",
                fix="give seconds of at least 0; the wall clock alone goes back, with travel_to()",
                anchor="clock-steering",
            )
        )
    return seconds
