"""The event loop of a schedule: the virtual loop, on which a strategy decides which completion comes when.

The rule that makes a failure believable: **a completion may be late, never early, and callbacks that are ready run first
in, first out.** `loop.call_soon` documents the second, and `asyncio.Lock` builds its fairness on it, so a loop that
permutes the ready queue finds failures that no asyncio program can have. What does vary in production is when the
outside answers. So nothing here is reordered that asyncio orders: a completion is kept back, as a slow network would.

It is the virtual loop with one step before each of its rounds. In this step the completions that have happened, or that
are due next, are offered to the strategy one after another, until it picks `GO`. What it does not pick is late. Without
a strategy, or with one that always takes the first, the round is exactly that of the virtual loop: what was due at the
same moment becomes ready in the same round, in the same order. So "stock order" is what a plain test on the virtual
clock sees, and the clock goes on to hold for the outside, to settle, to advance, and to find deadlocks.

Time moves as it does on the virtual loop: it stands still while something is ready, and goes to what is due next, which
is a timer (those of time-outs and of `call_later` are never touched), or the sleep that was picked. A sleep is taken out
of the timers when it begins and put back when it is picked; a `sleep(0)` stays where it is in the ready queue, and is
taken out when it is kept back.

Overridden of asyncio (3.11 to 3.15): `_run_once`, to have the step before each round, and `_add_callback`, through which
what the selector reports becomes ready.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import selectors
import threading
import time
import types
import weakref
from asyncio import Handle
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, TypeVarTuple, Unpack, cast

from pytest_uno.clock.budgets import Budgets
from pytest_uno.clock.future_kinds import WORK
from pytest_uno.clock.real_time import monotonic
from pytest_uno.clock.virtual_loop import VirtualEventLoop
from pytest_uno.explore.asyncio_internals import SLEEP_CALLBACK, ThreadHandle, is_deadline, is_step_of
from pytest_uno.explore.completions import IO_LATENESS, PASSES, Completions
from pytest_uno.explore.errors import StepLimitError, step_limit_message
from pytest_uno.explore.jobs import IN_TURN, Job, Jobs, Letter
from pytest_uno.explore.operations import FIRE, GO, IO, SLEEP, YIELD, Operation
from pytest_uno.explore.providers import submission_of

if TYPE_CHECKING:
    from pytest_uno.clock.selector import Events
    from pytest_uno.clock.timers import Timer
    from pytest_uno.explore.settings import Settings
    from pytest_uno.explore.strategies.base import Strategy

__all__ = ["ScheduleLoop"]

Ts = TypeVarTuple("Ts")

_BUDGETS = Budgets(deadlock_grace=0.05, deadlock_patience=0.3, stall=10.0)
"""A hang is the symptom of many bugs, and met again and again while a schedule is shrunk."""

_BETWEEN_LOOKS = 0.001
"""Real seconds, while something is kept back that the selector would report at once."""

_current_task = asyncio.current_task


class ScheduleLoop(VirtualEventLoop):
    """A virtual loop whose completions come in the order that a strategy chooses.

    Must be used like every asyncio loop: in one thread. In stock order until `explore_with`.

    Args:
        settings: what may be late, and how late.

    Attributes:
        is_exploring: the strategy is asked; otherwise everything comes in stock order.
        rounds: rounds of the loop since the strategy is asked.
        round_limit: how many of them there may be.
        decisions: how often the strategy was asked.
        deadlines_forced: how often a time-out fired although something could still come.
        trail: told of each decision, for the trace of a schedule; None without one.
    """

    __slots__ = (
        "_completions",
        "_jobs",
        "_keeps_sleeps",
        "_keeps_yields",
        "_lanes",
        "_lateness",
        "_pending",
        "_readiness",
        "_select",
        "_settings",
        "_strategy",
        "deadlines_forced",
        "decisions",
        "is_exploring",
        "round_limit",
        "rounds",
        "trail",
    )

    def __init__(self, settings: Settings) -> None:
        self.is_exploring = False
        self._settings = settings
        self._completions = Completions()
        self._pending = self._completions.pending
        self._lanes: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = weakref.WeakKeyDictionary()
        self._readiness: dict[int, Operation] = {}
        self._keeps_sleeps = self._keeps_yields = False
        self._lateness = inf if settings.timeouts else settings.jitter * IO_LATENESS
        self._strategy: Strategy | None = None
        self.rounds = 0
        self.round_limit = settings.round_limit
        self.decisions = 0
        self.deadlines_forced = 0
        self.trail: Callable[[Operation, Operation | None], object] | None = None
        super().__init__(budgets=_BUDGETS)
        self._select = self._virtual_selector.wait
        self._virtual_selector.wait = self._wait_for_news
        self._jobs = Jobs(self.outside.threads.count_waiting_for_loop)

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
        for one in self._pending:
            if one.handle is not None and not one.handle.cancelled() and not one.is_in_ready:
                self._bring(one)
        self._pending.clear()
        self._readiness.clear()

    def lane_of(self, task: asyncio.Task[Any] | None) -> int:
        """Return the number of a task, in the order in which tasks first waited; 0 for none."""
        if task is None:
            return 0
        lane = self._lanes.get(task)
        if lane is None:
            lane = self._lanes[task] = len(self._lanes) + 1
        return lane

    @property
    def slow_jobs(self) -> int:
        """How many jobs of threads were not waited for to their end: their replies come by real time."""
        return self._jobs.were_slow

    def has_ready_callbacks(self) -> bool:
        """Say whether a callback is ready to run, or a thread has called in."""
        return bool(self._ready) or bool(self._jobs.box)

    def next_timer(self) -> float:
        """Return the moment of the next timer or sleep; infinity without one."""
        moment = super().next_timer()
        return self._pending[-1].when if moment == inf and self._pending else moment

    # -- what begins
    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> Timer:
        """Call back at a moment of the loop's time, see `asyncio.loop.call_at`."""
        timer = super().call_at(when, callback, *args, context=context)
        if self._keeps_sleeps and callback is SLEEP_CALLBACK:
            scheduled = self._scheduled
            if scheduled[-1] is timer:
                scheduled.pop()
            else:
                scheduled.remove(timer)
                heapq.heapify(scheduled)
            timer._scheduled = False  # pyright: ignore[reportPrivateUsage]
            task = _current_task()
            now = self.time()
            when = timer.when()
            latest = now + (when - now) * self._settings.jitter
            self._completions.add(
                Operation(SLEEP, when, latest, timer.sequence, self.lane_of(task), None, timer, task, "sleep")
            )
        return timer

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> Handle:
        """Call back in the next round, see `asyncio.loop.call_soon`."""
        if self._debug:
            handle = super().call_soon(callback, *args, context=context)
        else:
            self._check_closed()
            handle = Handle(callback, args, self, context)
            self._ready.append(handle)
        if self._keeps_yields and hasattr(callback, "__self__"):
            task = _current_task()
            if is_step_of(callback, task):
                one = self._begin(YIELD, handle, self.lane_of(task), None, task, "sleep(0)")
                one.is_in_ready = True
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> Handle:
        """Call back from another thread, see `asyncio.loop.call_soon_threadsafe`."""
        thread = threading.get_ident()
        about = args[0] if args else None
        is_inside = thread == self._thread_id
        if not self.is_exploring or (is_inside and not self._jobs.is_answer(about)):
            return super().call_soon_threadsafe(callback, *args, context=context)
        self._check_closed()
        if not is_inside:
            self.outside.threads.note_call(callback)
        handle = ThreadHandle(callback, args, self, context)
        self._jobs.put(handle, about, thread)
        self._write_to_self()
        return handle

    def _note_future(self, future: asyncio.Future[Any], kind: int, maker: types.FrameType) -> None:
        super()._note_future(future, kind, maker)
        if kind == WORK and self.is_exploring and (submission := submission_of(maker)) is not None:
            self._jobs.wait(IN_TURN)
            task = _current_task()
            self._jobs.in_flight[id(future)] = Job(
                future, task, self.lane_of(task), submission.source, self._next_place(), submission.what
            )

    def _add_callback(self, handle: Handle) -> None:
        """Take what the selector reports (`BaseSelectorEventLoop._process_events`)."""
        if handle.cancelled():
            return
        callback = cast("Any", handle)._callback
        if not self.is_exploring or callback == self._read_from_self:
            self._ready.append(handle)
        elif id(handle) not in self._readiness:  # reported again and again until it is read
            owner: object = getattr(callback, "__self__", None)
            source = handle if owner is None or owner is self else owner
            name: str = getattr(callback, "__name__", "")
            one = self._begin(IO, handle, 0, (name, id(source)), None, _SOCKET_CALLBACKS.get(name, "socket"))
            self._readiness[id(handle)] = one
            waits = owner if owner is not self else next(iter(cast("Any", handle)._args), None)
            self._answer(one, waits)

    def _next_place(self) -> int:
        self._timers_made += 1  # one order for everything that is due at the same moment
        return self._timers_made

    def _begin(
        self, kind: str, handle: Handle, lane: int, source: object, task: asyncio.Task[Any] | None, what: str
    ) -> Operation:
        now = self.time()
        one = Operation(kind, now, now + self._lateness, self._next_place(), lane, source, handle, task, what)
        self._completions.add(one)
        return one

    def _take(self, letter: Letter) -> None:
        job = letter.job
        if job is None:
            self._begin(IO, letter.handle, 0, letter.thread, None, "thread")
            return
        now = self.time()
        one = Operation(
            IO, now, now + self._lateness, job.sequence, job.lane, job.source, letter.handle, job.task, job.what
        )
        self._completions.add(one)
        self._answer(one, job.future)

    def _answer(self, one: Operation, waits: object) -> None:
        """Tell the clock that what has come for somebody does not hold it, however long it is kept back."""
        if isinstance(waits, asyncio.Future | asyncio.Transport):
            one.answers = waits
            self.outside.answered.add(waits)

    def _wait_for_news(self, seconds: float | None) -> Events:
        """Wait for the descriptors, except those of which is known that they have something."""
        events = self._select(seconds)
        if not self._readiness or not events:
            return events
        end = None if seconds is None else monotonic() + seconds
        while True:
            news = [event for event in events if self._is_news(*event)]
            if news or (end is not None and monotonic() >= end):
                return news
            time.sleep(_BETWEEN_LOOKS)
            if self._jobs.box:
                return []
            events = self._select(0)

    def _is_news(self, key: selectors.SelectorKey, mask: int) -> bool:
        reader, writer = key.data
        readiness = self._readiness
        return (bool(mask & selectors.EVENT_READ) and id(reader) not in readiness) or (
            bool(mask & selectors.EVENT_WRITE) and id(writer) not in readiness
        )

    def close(self) -> None:
        """Close the loop, see `asyncio.loop.close`."""
        super().close()
        self._virtual_selector.wait = self._select
        self.outside.answered.clear()

    # -- what comes
    def _run_once(self) -> None:
        jobs = self._jobs
        if self.is_exploring:
            if jobs.in_flight:
                jobs.settle()
            if jobs.box:
                for letter in jobs.read():
                    self._take(letter)
            if self._pending:
                self._offer()
            self.rounds += 1
            if self.rounds > self.round_limit:
                self.rounds = 0
                self.fail(StepLimitError(step_limit_message(self.round_limit, self.clock.picture())))
        elif jobs.box:
            self._ready.extend(letter.handle for letter in jobs.read())
        super()._run_once()  # type: ignore[misc]

    def _offer(self) -> None:
        """Ask the strategy what comes before the next round."""
        completions, pending, ready = self._completions, self._pending, self._ready
        completions.prune(self._forget)
        now = self.time()
        undecided = sum(one.is_in_ready for one in pending)
        has_looked = False
        while pending:
            options = completions.due(now)
            if len(ready) > undecided:
                if not options:
                    break
                if options[0].passed <= PASSES:
                    options.append(_GO)
            else:
                if not has_looked and self._virtual_selector.may_have_events():
                    has_looked = True  # the last look is older than the callbacks that ran since
                    self._process_events(self._virtual_selector.wait(0))
                    continue
                options += self._later(now)
                if not options:
                    break
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
        self._keep_back(now)

    def _choose(self, options: list[Operation]) -> Operation:
        if len(options) == 1:
            return options[0]
        strategy = self._strategy
        assert strategy is not None
        chosen = options[strategy.choose(options)]
        self.decisions += 1
        if self.trail is not None:
            self.trail(chosen, strategy.just_held)
        return chosen

    def _bring_at(self, one: Operation) -> None:
        """Let time go to a sleep, and bring what else is due at the same moment unless it is kept back."""
        moment = one.when
        is_moment_of_timer = super().next_timer() == moment
        self._put_back(one)
        last = one
        while True:
            options = [
                other for other in self._completions.later(moment - 1.0, moment) if last < other and other.when == moment
            ]
            if not options:
                return
            if is_moment_of_timer:
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
        self._readiness.pop(id(one.handle), None)
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
        if one.kind is YIELD and not one.is_in_ready and one.handle is not None and not one.handle.cancelled():
            self._ready.append(one.handle)

    def _later(self, now: float) -> list[Operation]:
        """Return what may come at a later moment, without that a timer fires before it."""
        horizon = self._horizon()
        options = self._completions.later(now, horizon)
        if options and options[-1].when == horizon and options[0].when < horizon:
            # What is due together with a timer comes with it: nothing before it may be late then.
            options = [one for one in options if one.when < horizon]
        return options

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
        if self._settings.timeouts and self._scheduled and is_deadline(self._scheduled[0]):
            options.append(_FIRE)

    _timer_cancelled_count: int
    _read_from_self: Callable[[], object]
    _write_to_self: Callable[[], object]
    _process_events: Callable[[Any], object]


_SOCKET_CALLBACKS = {"_accept_connection": "a connection", "_write_ready": "room to write"}


def _move(kind: str) -> Operation:
    return Operation(kind, 0.0, 0.0, 0, -1 if kind == GO else -2, None, None, None, kind)


_GO, _FIRE = _move(GO), _move(FIRE)
