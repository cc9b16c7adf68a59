"""The event loop of a schedule: the virtual loop, on which a strategy decides which completion comes when.

The rule that makes a failure believable: **a completion may be late, never early, and callbacks that are ready run
first in, first out.** `loop.call_soon` documents the second, and `asyncio.Lock` builds its fairness on it, so a loop
that permutes the ready queue finds failures that no asyncio program can have. What does vary in production is when
the outside answers. So nothing here is reordered that asyncio orders: a completion is kept back, as a slow network
would.

It is the virtual loop with one step before each of its rounds. In this step the completions that have happened, or
that are due next, are offered to the strategy one after another, until it picks `GO`. What it does not pick is late.
Without a strategy, or with one that always takes the first, the round is exactly that of the virtual loop: what was
due at the same moment becomes ready in the same round, in the same order. So "stock order" is what a plain test on
the virtual clock sees, and the clock goes on to hold for the outside, to settle, to advance, and to find deadlocks.

Time moves as it does on the virtual loop: it stands still while something is ready, and goes to what is due next,
which is a timer (those of time-outs and of `call_later` are never touched), or the sleep that was picked. A sleep is
taken out of the timers when it begins and put back when it is picked; a `sleep(0)` stays where it is in the ready
queue, and is taken out when it is kept back.

What begins is noted by the other half of this loop (`intake_loop`). Overridden of asyncio here (3.11 to 3.15):
`_run_once`, to have the step before each round.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Callable
from math import inf
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, cast

from pytest_uno.explore.asyncio_internals import is_deadline
from pytest_uno.explore.completions import PASSES
from pytest_uno.explore.errors import StepLimitError, step_limit_message
from pytest_uno.explore.intake_loop import IntakeLoop
from pytest_uno.explore.operations import FIRE, GO, SLEEP, YIELD, Operation

if TYPE_CHECKING:
    from pytest_uno.clock.timers import Timer
    from pytest_uno.explore.settings import Settings
    from pytest_uno.explore.strategies.base import Strategy

__all__ = ["ScheduleLoop"]


class ScheduleLoop(IntakeLoop):
    """A virtual loop whose completions come in the order that a strategy chooses.

    Must be used like every asyncio loop: in one thread. In stock order until `explore_with`.

    Args:
        settings: what may be late, and how late.

    Attributes:
        rounds: rounds of the loop since the strategy is asked.
        round_limit: how many of them there may be.
        rounds_left: rounds after which the loop stops while it does not explore; 0 is without limit.
        decisions: of each, the number of options and the index of the one that was taken.
        deadlines_forced: how often a time-out fired although something could still come.
        trail: told of each decision, for the trace of a schedule; None without one.
    """

    __slots__ = (
        "_strategy",
        "deadlines_forced",
        "decisions",
        "round_limit",
        "rounds",
        "rounds_left",
        "trail",
    )

    def __init__(self, settings: Settings) -> None:
        self._strategy: Strategy | None = None
        self.rounds = self.rounds_left = 0
        self.round_limit = settings.round_limit
        self.decisions: list[tuple[int, int]] = []
        self.deadlines_forced = 0
        self.trail: Callable[[Operation, tuple[Operation, ...]], object] | None = None
        super().__init__(settings)

    # -- steering
    def explore_with(self, strategy: Strategy) -> None:
        """Ask a strategy from the next round on."""
        self._strategy = strategy
        self.is_exploring = True
        self._keeps_sleeps = SLEEP in self._settings.delay
        self._keeps_yields = YIELD in self._settings.delay

    def explore_no_more(self) -> None:
        """Let everything come in stock order from here on, what was kept back at once."""
        self.is_exploring = self._keeps_sleeps = self._keeps_yields = False
        self._strategy = None  # it keeps operations, and they this loop
        for one in self._pending:
            if one.handle is not None and not one.handle.cancelled() and not one.is_in_ready:
                self._bring(one)
        self._pending.clear()
        self._readiness.clear()

    def close(self) -> None:
        """Close the loop, see `asyncio.loop.close`."""
        super().close()
        # The streams of the program may keep the loop until the collector runs; the record need not wait with it.
        self.set_exception_handler(None)
        self.decisions = []

    # -- what comes
    def _run_once(self) -> None:
        jobs = self._jobs
        if self.is_exploring:
            self._brought.clear()
            selector = self._virtual_selector
            # What is on offer must be known before there is a choice.
            is_looked_at = not self._ready and selector.may_have_events()
            if is_looked_at and (events := selector.wait(0)):
                self._is_alone = len(events) == 1 and events[0][1] in _ONE_SIDE and self._has_nothing_else()
                self._process_events(events)
                self._is_alone = False
            if self._replies.has_connections:
                self._replies.wait(self._look)
            if len(self._pending) > 1:
                self._replies.order(self._pending)
            if jobs.in_flight:
                jobs.settle()
            if jobs.box:
                for letter in jobs.read():
                    self._take(letter)
            if self._pending:
                self._offer()
            if is_looked_at and self._ready:
                selector.leaves_out_look = True  # nothing has run since
            self.rounds += 1
            if self.rounds > self.round_limit:
                self.rounds = 0
                self.fail(StepLimitError(step_limit_message(self.round_limit, self.clock.picture())))
        else:
            if jobs.box:
                self._ready.extend(letter.handle for letter in jobs.read())
            if self.rounds_left:
                self.rounds_left -= 1
                if not self.rounds_left:
                    self.stop()
        super()._run_once()  # type: ignore[misc]

    def _has_nothing_else(self) -> bool:
        """Say whether what the selector reports is all that can come: then there is no choice."""
        jobs = self._jobs
        return not (
            self._pending
            or jobs.in_flight
            or jobs.box
            or self._replies.has_connections
            or self._settings.timeouts
        )

    def _look(self, seconds: float) -> None:
        """Take in what comes through sockets within some real seconds."""
        self._process_events(self._virtual_selector.wait(seconds))

    def _offer(self) -> None:
        """Ask the strategy what comes before the next round."""
        completions, pending, ready = self._completions, self._pending, self._ready
        undecided = completions.prune(self._forget)
        now = self.time()
        timeouts = self._settings.timeouts
        if len(pending) == 1 and not ready and pending[0].when <= now and not timeouts:
            self._bring(pending.pop())  # most rounds of programs with sockets: there is no choice
            return
        due = completions.due(now)
        while pending:
            if len(ready) > undecided:
                if not due:
                    break
                if due[0].passed > PASSES:
                    options = due
                elif not completions.has_hidden and self._bring_all(due):
                    return
                else:
                    options = [*due, _GO]
            else:
                options = [*due, *self._later(now)] if pending[-1].when > now else due[:]
                if not options:
                    break
                if timeouts:
                    self._add_deadline(options)
            one = self._choose(options)
            if one is _GO:
                break
            if one is _FIRE:
                self.deadlines_forced += 1
                break
            pending.remove(one)
            if one.when > now:
                self._bring_at(one)
                break
            if one.is_in_ready:
                undecided -= 1
            else:
                self._bring(one)
            if completions.has_hidden:
                due = completions.due(now)
            else:
                due.remove(one)
        self._keep_back(now)

    def _bring_all(self, due: list[Operation]) -> bool:
        """Bring everything that is due, in one go, if the strategy would take it in this order."""
        count = len(due)
        strategy = self._strategy
        assert strategy is not None
        if not strategy.lets_pass(count):
            return False
        self.decisions += _first_of_each(count)
        for one in due:
            if not one.is_in_ready:
                self._bring(one)
        del self._pending[:count]
        return True

    def _choose(self, options: list[Operation]) -> Operation:
        if len(options) == 1:
            return options[0]
        strategy = self._strategy
        assert strategy is not None
        index = strategy.choose(options)
        chosen = options[index]
        self.decisions.append((len(options), index))
        if self.trail is not None:
            self.trail(chosen, strategy.just_held)
        return chosen

    def _bring_at(self, one: Operation) -> None:
        """Let time go to a sleep, and bring what else is due at the same moment unless it is kept back."""
        moment = one.when
        is_moment_of_timer = super(IntakeLoop, self).next_timer() == moment
        self._put_back(one)
        last = one
        while True:
            options = [
                other
                for other in self._completions.later(moment - 1.0, moment)
                if last < other and other.when == moment
            ]
            if not options:
                return
            if is_moment_of_timer or not self._keeps_sleeps:
                last = options[0]
            else:
                options.append(_GO)
                last = self._choose(options)
                if last is _GO:
                    return
            self._pending.remove(last)
            self._put_back(last)

    def _put_back(self, one: Operation) -> None:
        timer = cast("Timer", one.handle)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # pyright: ignore[reportPrivateUsage]

    def _bring(self, one: Operation) -> None:
        if self._readiness.pop(id(one.handle), None) is not None:
            self._brought.add(id(one.handle))
        self.outside.answered.discard(one.answers)
        if one.when > self.time():
            self._put_back(one)
        else:
            self._ready.append(one.handle)

    def _keep_back(self, now: float) -> None:
        for one in self._pending:
            if one.when > now:
                break
            one.passed += 1
            if one.is_in_ready:
                one.is_in_ready = False
                self._ready.remove(one.handle)

    def _forget(self, one: Operation) -> None:
        self._readiness.pop(id(one.handle), None)
        self.outside.answered.discard(one.answers)
        if (
            one.kind is YIELD
            and not one.is_in_ready
            and one.handle is not None
            and not one.handle.cancelled()
        ):
            self._ready.append(one.handle)

    def _later(self, now: float) -> list[Operation]:
        """Return what may come at a later moment, without that a timer fires before it."""
        horizon = self._horizon()
        options = self._completions.later(now, horizon)
        if options and options[-1].when == horizon and options[0].when < horizon:
            # What is due together with a timer comes with it: nothing before it may be late then.
            options = [one for one in options if one.when < horizon]
        # Sleeps that must be exact end in their order, all of one moment together.
        return options if self._keeps_sleeps else options[:1]

    def _horizon(self) -> float:
        """Return the moment up to which time may move for a sleep."""
        clock = self.clock
        if clock.has_settlers:
            return self.time()
        target = clock.next_target()
        if not clock.moves_by_itself and target == inf:
            return self.time()
        scheduled = self._scheduled
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)._scheduled = False  # pyright: ignore[reportPrivateUsage]
            self._timer_cancelled_count -= 1
        return min(target, scheduled[0].when()) if scheduled else target

    def _add_deadline(self, options: list[Operation]) -> None:
        if not self._keeps_sleeps and any(one.kind is SLEEP for one in options):
            return  # a sleep that must be exact ends first
        if self._scheduled and is_deadline(self._scheduled[0]):
            options.append(_FIRE)

    _timer_cancelled_count: int


@functools.lru_cache(maxsize=16)
def _first_of_each(count: int) -> tuple[tuple[int, int], ...]:
    """Return the decisions that bring so many operations in their order, with `GO` on offer each time."""
    return tuple((options, 0) for options in range(count + 1, 1, -1))


def _move(kind: str) -> Operation:
    return Operation(kind, 0.0, 0.0, 0, None, None, None, kind)


_GO, _FIRE = _move(GO), _move(FIRE)

_ONE_SIDE = (EVENT_READ, EVENT_WRITE)
