"""Which clock a loop is on: the test's own from its guard's beginning to its end, in between the run's or real time.

A loop that tests share is a virtual loop in either mode, switched while it does not run:

| while | it is on |
|---|---|
| a uno test's guard, that is function-scoped fixtures, test and their teardown | the test's clock |
| wider fixtures of a uno test are set up | the clock of the run (`uno_clock`) |
| another test runs: plain asyncio, or sync | real time |
| a wider fixture is torn down | what it was set up on, whichever test is the last |
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pytest_uno.clock.await_graph import capture_await_graph
from pytest_uno.clock.virtual_loop import VirtualEventLoop
from pytest_uno.core.errors import (
    ClockLimitError,
    ClockStallError,
    ClockTimeoutError,
    DeadlockError,
    compose_message,
)

if TYPE_CHECKING:
    from pytest_uno.clock.virtual_clock import VirtualClock
    from pytest_uno.harness.run_state import TestRun

__all__ = ["LOOP_FAILURES", "SharedClocks", "TestClock"]

LOOP_FAILURES = (DeadlockError, ClockStallError, ClockLimitError, ClockTimeoutError)
"""What a virtual loop raises on its own: the tasks stand as the picture shows them, and are no leaks."""


def _switch(clock: VirtualClock, kind: str) -> None:
    if kind == "virtual":
        clock.run_virtual()
    else:
        clock.run_real()


class SharedClocks:
    """The clocks of the loops that outlive a test.

    Args:
        label: names the owner of a task in pictures.
    """

    def __init__(self, label: Callable[[asyncio.Task[Any]], str | None]) -> None:
        self._label = label
        self._clocks: list[VirtualClock] = []
        self._kind = "real"

    def add(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take in a loop that has just been made; one of another class stays on real time."""
        if isinstance(loop, VirtualEventLoop):
            loop.clock.describe_task = self._label
            _switch(loop.clock, self._kind)
            self._clocks.append(loop.clock)

    def remove(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let go of a loop that is about to close."""
        if isinstance(loop, VirtualEventLoop) and loop.clock in self._clocks:
            self._clocks.remove(loop.clock)

    def switch(self, kind: str) -> None:
        """Put every loop on virtual or on real time."""
        self._kind = kind
        for clock in self._clocks:
            _switch(clock, kind)

    def keep_for_teardown(self) -> tuple[Callable[[], None], Callable[[], None]]:
        """Let a wider fixture end on the kind of time on which it begins now.

        Returns:
            What to call before its teardown, and what to call after it.
        """
        kind = self._kind
        before: list[tuple[VirtualClock, bool]] = []

        def begin() -> None:
            for clock in self._clocks:
                before.append((clock, clock.is_virtual))
                _switch(clock, kind)

        def end() -> None:
            while before:
                clock, was_virtual = before.pop()
                _switch(clock, "virtual" if was_virtual else "real")

        return begin, end

    def give_back(self, clock: VirtualClock) -> None:
        """Put one loop on what the others are on, when a test is over."""
        clock.reset()
        _switch(clock, self._kind)


class TestClock:
    """The clock of one test, from its guard's beginning to its end.

    Args:
        test: the test.
        shared: the clocks of shared loops.
        owns_loop: the loop ends with the test.
        tasks: returns the tasks to cancel when a test on a foreign loop uses up its time.
        label: names the owner of a task in pictures.
    """

    __test__ = False
    __slots__ = ("_label", "_owns_loop", "_shared", "_tasks", "_test", "_timer", "clock")

    def __init__(
        self,
        test: TestRun,
        shared: SharedClocks,
        *,
        owns_loop: bool,
        tasks: Callable[[], Iterable[asyncio.Task[Any]]],
        label: Callable[[asyncio.Task[Any]], str | None],
    ) -> None:
        self._test = test
        self._shared = shared
        self._owns_loop = owns_loop
        self._tasks = tasks
        self._label = label
        self._timer: asyncio.TimerHandle | None = None
        loop = test.loop
        self.clock: VirtualClock | None = loop.clock if isinstance(loop, VirtualEventLoop) else None

    def begin(self) -> None:
        """Put the loop on the test's clock; must be called while it does not run."""
        clock, options = self.clock, self._test.options
        if clock is not None:
            clock.describe_task = self._label
            if not self._owns_loop or options.clock == "real":
                _switch(clock, options.clock)
                clock.reset()
            if options.start is not None:
                clock.wall.start_at(options.start)
        if options.timeout:
            if clock is not None and clock.is_virtual:
                clock.deadline = clock.time() + options.timeout
            else:
                self._timer = self._test.loop.call_later(options.timeout, self._time_out)

    def disarm(self) -> None:
        """End the test's time-out: its teardown may take any time."""
        if self.clock is not None:
            self.clock.deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """Take the loop off the test's clock; must be called while it does not run."""
        self.disarm()
        if self.clock is not None and not self._owns_loop:
            self._shared.give_back(self.clock)

    def describe_holding(self) -> str | None:
        """Say how time went, when the outside held the clock for real; None when it did not."""
        clock = self.clock
        if clock is None or not clock.held:
            return None
        by = ", ".join(f"{what} {seconds:.2f} s" for what, seconds in clock.held_by.items())
        jumps = f"{clock.jumps} jump{'s' * (clock.jumps != 1)}"
        return f"virtual time {clock.elapsed:.9g} s, {jumps}; held {clock.held:.2f} s for: {by}"

    def _time_out(self) -> None:
        """Fail the test on real time; called by its loop."""
        loop = self._test.loop
        picture = capture_await_graph(loop, label=self._label).render()
        error = ClockTimeoutError(
            compose_message(
                f"not finished after {self._test.options.timeout:g} s of real time\n\n"
                f"the tasks, and who waits for whom:\n{picture}\n",
                fix="look above for what is still waiting, or allow more with uno_async(timeout=...)",
                anchor="clock-timeout",
            )
        )
        if isinstance(loop, VirtualEventLoop):
            loop.fail(error)
            return
        self._test.timed_out = error
        for task in self._tasks():
            task.cancel("pytest-uno: timeout")
