"""What the clock does when the loop has nothing to do: run, hold, settle, jump or fail.

In this order:

1. events are there, or callbacks are ready: run them;
2. something outside the loop may be at work (`outside_work`): **hold**. Real time passes and virtual time stands still,
   up to the source's patience; after that time **flows** at real speed, or the source is ignored. Time never jumps past
   work that may still finish, so a slow operation never times out earlier than in real time;
3. `settle()` waits: it is settled now;
4. `advance()` waits and no timer comes before its target: it has arrived;
5. a timer exists and time may move by itself: **jump** to its exact moment;
6. otherwise, after a last real look at the outside: **deadlock**.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING

from pytest_uno.clock.real_time import monotonic
from pytest_uno.clock.selector import Events, VirtualSelector
from pytest_uno.clock.timers import quantise
from pytest_uno.core.errors import (
    ClockError,
    ClockLimitError,
    ClockStallError,
    ClockTimeoutError,
    DeadlockError,
    compose_message,
)

if TYPE_CHECKING:
    from pytest_uno.clock.failure import RunFailure
    from pytest_uno.clock.outside_work import OutsideWork
    from pytest_uno.clock.virtual_clock import VirtualClock
    from pytest_uno.clock.virtual_loop import VirtualEventLoop

__all__ = ["Decision"]

_FIRST_SLICE, _LONGEST_SLICE, _LONGEST_WAIT = 0.001, 0.05, 60.0
"""Real seconds of one wait: short at first where threads change without waking the loop."""

_CLEAN_UP_JUMPS = 10_000
"""Jumps that a run gets for its clean-up after it used up all of its own."""


class Decision:
    """Decides for one loop; must be used in the loop's thread.

    Args:
        loop: the loop.
        clock: its clock.
        selector: its selector.
        outside: the sources of outside work.
        failure: the failure of the current run.
    """

    def __init__(
        self,
        loop: VirtualEventLoop,
        clock: VirtualClock,
        selector: VirtualSelector,
        outside: OutsideWork,
        failure: RunFailure,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._selector = selector
        self._outside = outside
        self._failure = failure
        self._busy_since = 0.0
        self._held_since: float | None = None

    def when_idle(self) -> Events:
        """Decide; called by the selector when the loop has nothing to do."""
        loop, clock, selector = self._loop, self._clock, self._selector
        if selector.may_have_events() and (events := selector.wait(0)):
            self._outside.descriptors.touch(events)
            self._held_since = None
            return events
        if (
            loop.has_ready_callbacks()
        ):  # pragma: no cover - a race: another thread called in since the look above
            self._held_since = None
            return []
        timer = loop.next_timer()
        if self._outside.is_noted or self._outside.threads.may_hold():
            held = self._hold(timer)
            if held is not None:
                return held
        self._held_since = None
        if clock.has_settlers and clock.wake_settlers():
            return []
        target = clock.next_target()
        if timer > target:  # timers of the target's own moment fire on the way
            return self._arrive(target)
        if timer == inf or (target == inf and not clock.moves_by_itself):
            return self._find_stuck(is_paused=timer < inf)
        return self._jump(timer)

    def when_busy(self, is_first: bool) -> None:
        """See whether tasks that poll without a rest keep time from moving."""
        now = monotonic()
        limit = self._clock.budgets.busy_limit
        if is_first:
            self._busy_since = now
        elif self._loop.next_timer() < inf and now - self._busy_since > limit:
            self._selector.forget_busy()
            self._fail(
                ClockStallError,
                compose_message(
                    self._show(
                        f"the loop was never idle for {limit:g} s of real time, so virtual time could not move"
                    ),
                    cause="a task polls with sleep(0) for something that only a timer brings",
                    fix="wait for an event, or sleep for a real interval between two looks",
                    anchor="clock-busy",
                ),
            )

    # -- moving
    def _jump(self, moment: float) -> Events:
        clock = self._clock
        if clock.deadline is not None and moment > clock.deadline:
            return self._time_out()
        clock.jumps += 1
        if moment - clock.start > clock.budgets.limit:
            return self._pass_limit(moment)
        if clock.jumps > clock.budgets.max_jumps + clock.extra_jumps:
            clock.extra_jumps = clock.jumps - clock.budgets.max_jumps + _CLEAN_UP_JUMPS
            return self._fail(
                ClockLimitError,
                compose_message(
                    self._show(
                        f"virtual time jumped {clock.jumps - 1} times without an end and is at "
                        f"{clock.time():g} s"
                    ),
                    cause="a periodic task keeps the run going for ever",
                    fix="end the task that goes on, or give the clock a larger Budgets(max_jumps=)",
                    anchor="clock-limit",
                ),
            )
        clock.set_time(moment)
        return []

    def _arrive(self, target: float) -> Events:
        clock = self._clock
        if clock.deadline is not None and target > clock.deadline:
            return self._time_out()
        if target - clock.start > clock.budgets.limit:
            return self._pass_limit(target)
        clock.set_time(max(target, clock.time()))
        clock.wake_advance()
        return []

    def _pass_limit(self, moment: float) -> Events:
        return self._fail(
            ClockLimitError,
            compose_message(
                self._show(
                    f"virtual time would pass its limit of {self._clock.budgets.limit:g} s at {moment:g} s"
                ),
                cause="a periodic task keeps the run going for ever",
                fix="end the task that goes on, or give the clock a larger Budgets(limit=)",
                anchor="clock-limit",
            ),
        )

    # -- holding
    def _hold(self, timer: float) -> Events | None:
        """Wait for the outside; None when nothing holds the clock (any more)."""
        clock, selector, outside = self._clock, self._selector, self._outside
        budgets = clock.budgets
        now = monotonic()
        if self._held_since is None or selector.take_news():
            self._held_since = now  # timers that fire while time flows are no news from outside
        slice_ = _FIRST_SLICE
        while True:
            reasons = outside.reasons(now, budgets)
            freezes = max((reason.since + reason.freezes_for - now for reason in reasons), default=0.0)
            if freezes > 0:
                horizon = inf
                wait = min(freezes, _LONGEST_WAIT)
            elif any(reason.flows for reason in reasons):
                horizon = min(timer, clock.next_target(), inf if clock.deadline is None else clock.deadline)
                wait = min(horizon - clock.time(), _LONGEST_WAIT) if clock.moves_by_itself else _LONGEST_WAIT
                if wait <= 0:
                    return self._end_flow(timer)
            elif self._loop.has_ready_callbacks():  # pragma: no cover - a race
                # A thread has called in since the look above, and was parked again when it was asked.
                self._held_since = None
                return []
            else:
                return None
            if now - self._held_since > budgets.stall:
                self._held_since = None
                return self._stall(reason.label for reason in reasons)
            if outside.threads.change_silently:
                wait = min(wait, slice_)
                slice_ = min(2 * slice_, _LONGEST_SLICE)
            events = selector.wait(min(wait, budgets.stall + 0.001))
            before, now = now, monotonic()
            clock.count_held(now - before, reasons)
            if freezes <= 0 and clock.moves_by_itself:
                clock.set_time(min(quantise(clock.time() + now - before), horizon))
            if events or self._loop.has_ready_callbacks():
                outside.descriptors.touch(events)
                self._held_since = None
                return events
            if freezes <= 0 and clock.time() >= horizon:
                return self._end_flow(timer)

    def _end_flow(self, timer: float) -> Events | None:
        """Time has flowed up to something that is due."""
        clock = self._clock
        if clock.time() >= timer:
            return []
        return None if clock.time() >= clock.next_target() else self._time_out()

    def _stall(self, labels: Iterable[str]) -> Events:
        names = ", ".join(sorted(set(labels)))
        return self._fail(
            ClockStallError,
            compose_message(
                self._show(
                    f"nothing came from outside the loop for {self._clock.budgets.stall:g} s of real time; "
                    f"waited for: {names}"
                ),
                cause="a server, thread or process that the test waits for is hung",
                fix="give what is awaited a time-out, or the clock a larger Budgets(stall=)",
                anchor="clock-stall",
            ),
        )

    # -- failing
    def _find_stuck(self, *, is_paused: bool) -> Events:
        clock, selector = self._clock, self._selector
        root = self._failure.root
        if root is None or root.done():
            return selector.wait(None)  # `run_forever`: somebody outside drives it
        if work := self._outside.futures.unfinished_work():
            if (events := selector.wait(clock.budgets.stall)) or self._loop.has_ready_callbacks():
                return events
            return self._stall(work)
        last_chance = 0.0
        if selector.may_have_events() or self._outside.threads.may_call():
            last_chance = clock.budgets.deadlock_grace
        if selector.signal_handlers or self._has_way_in():
            last_chance = clock.budgets.deadlock_patience
        if last_chance and ((events := selector.wait(last_chance)) or self._loop.has_ready_callbacks()):
            return events
        if is_paused:
            return self._fail(
                DeadlockError,
                compose_message(
                    self._show(
                        "deadlock: every task is blocked, and the clock is paused, so no timer can fire"
                    ),
                    cause="what the test waits for needs time to pass",
                    fix="call `await uno_clock.advance(seconds)` in a task that is not blocked, or leave `paused()`",
                    anchor="deadlock",
                ),
            )
        return self._fail(
            DeadlockError,
            compose_message(
                self._show(
                    "deadlock: every task is blocked, and no timer, I/O, thread or process can wake one"
                ),
                fix="look above for what each task waits for, and for the task that should have set, "
                "released or put it",
                anchor="deadlock",
            ),
        )

    def _has_way_in(self) -> bool:
        """Say whether somebody outside could still wake the loop: a server's client, a pipe, a connection."""
        inner = {self._loop.wake_up_descriptor(), *self._outside.connections.inner_descriptors()}
        return any(descriptor not in inner for descriptor in self._selector.descriptors())

    def _time_out(self) -> Events:
        clock = self._clock
        deadline = clock.deadline
        assert deadline is not None
        clock.deadline = None  # the clean-up may take time again
        clock.set_time(max(deadline, clock.time()))
        return self._fail(
            ClockTimeoutError,
            compose_message(
                self._show(f"not finished after {deadline - clock.start:g} s of virtual time"),
                fix="look above for what is still waiting, or allow more with uno_async(timeout=...)",
                anchor="clock-timeout",
            ),
        )

    def _show(self, what: str) -> str:
        return f"{what}\n\nthe tasks, and who waits for whom:\n{self._clock.picture()}\n"

    def _fail(self, error: type[ClockError], message: str) -> Events:
        self._failure.fail(error(message))
        return []
