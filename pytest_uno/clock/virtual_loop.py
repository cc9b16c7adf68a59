"""An asyncio event loop whose time is virtual, and that stays right with real I/O in the same program.

The model. Time stands still while anything is ready to run. When nothing is, the loop does not ask what each of its
tasks waits for; it asks **who outside the loop could be at work**, because only the outside can make something ready
without time passing. If nobody is, nothing can happen before the next timer, and the clock jumps to it. If somebody is,
the loop waits for real and virtual time stands still: the answer of a database comes at the virtual moment of the
question, however busy the machine. If there is no timer either, nothing can ever happen: a deadlock, found at once.

How the outside is known:

- A future is made where a wait begins, and the file of the code that makes it says who will finish it
  (`future_kinds`). That is one look into a dictionary when it is made. Walking all tasks at each jump gives the same
  answers and makes 336 jumps a second instead of 47,000 with 1,000 idle tasks.
- Transports count the bytes through their sockets (`connections`, `datagrams`). A connection with both ends in this
  loop matters while bytes are between them, one to the outside from the request to the reply; idle ones do not.
- Descriptors of `add_reader` (`descriptors`), subprocesses (their pipes and waits make futures), and threads that
  nothing is known of (`foreign_threads`) get patience while the test waits for an answer, and a short moment while it
  waits for time only.

Freezing beats flowing, because a frozen clock gives the same trace in each run; flowing beats jumping, because what is
slow then never times out earlier than in real time.

What it cannot know: threads outside of Python, and libraries that finish bare futures from them; `clock.hold()` and
`register_external_package` are for those.

The way into asyncio is the public `selector` argument (`selector`): the loop calls `select(timeout)` with something
else than 0 exactly when nothing is ready, and there the clock decides (`decision`). The private names of asyncio that
this relies on stand in this file, in `transports`, `connections`, `datagrams`, `subprocesses`, `wake_up_sockets` and
`asyncio_internals`, and are tested on every supported Python.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import math
import selectors
import sys
import threading
import types
from asyncio import events
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack, cast

from pytest_uno.clock.budgets import Budgets
from pytest_uno.clock.decision import Decision
from pytest_uno.clock.failure import RunFailure
from pytest_uno.clock.future_kinds import KINDS, READING, kind_of
from pytest_uno.clock.outside_work import OutsideWork
from pytest_uno.clock.selector import VirtualSelector
from pytest_uno.clock.timers import COARSE, NANOSECOND, Timer, moment_after, resolution_at
from pytest_uno.clock.transports import TransportLoop
from pytest_uno.clock.virtual_clock import VirtualClock
from pytest_uno.core.errors import compose_message

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

    from pytest_uno.clock.wake_up_sockets import WakeUpSockets

__all__ = ["VirtualEventLoop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MOMENTS_SHOWN = 3

# Each attribute of a module that `create_future` need not look up counts: it runs for every wait.
_Future = asyncio.Future
_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]
_kind_by_file = KINDS.get

_NAN_TIMER = compose_message(
    "a timer at NaN seconds would never fire, and would spoil the order of all others",
    fix="look for the inf - inf or 0 * inf that the delay was computed from",
    anchor="timer-nan",
)


class VirtualEventLoop(TransportLoop):
    """An event loop on virtual time: sleeping takes no time, and time-outs are exact.

    Must be used like every asyncio loop: in one thread. Works without pytest.

    Args:
        selector: watches the descriptors; asyncio's default when None.
        start: the virtual time to begin with, in seconds.
        budgets: how long to wait for the outside, and how far to go.
        wake_up: lends the sockets through which other threads wake the loop; None makes a pair for this loop alone.

    Attributes:
        clock: the clock: time, and the ways to steer it.
        outside: what may be at work outside the loop.

    Example:
        >>> async def main() -> float:
        ...     await asyncio.sleep(3600)
        ...     return asyncio.get_running_loop().time()
        >>> with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        ...     runner.run(main())
        3600.0
    """

    # Not in the dictionary: CPython keeps the attributes of an object in a faster form as long as they are no more
    # than 30 (3.11 to 3.13), and asyncio's own are 24 to 26.
    __slots__ = (
        "_decision",
        "_failure",
        "_real_slow_callback_duration",
        "_timers_made",
        "_virtual_selector",
        "clock",
        "outside",
        "wake_up",
    )

    _scheduled: list[Timer]
    _ready: Any
    _debug: bool
    _thread_id: int | None
    _clock_resolution: float
    _check_closed: Callable[[], None]
    _check_running: Callable[[], None]
    _check_thread: Callable[[], None]
    _check_callback: Callable[[Any, str], None]

    def __init__(
        self,
        selector: selectors.BaseSelector | None = None,
        *,
        start: float = 0.0,
        budgets: Budgets = Budgets(),  # noqa: B008 - frozen
        wake_up: WakeUpSockets | None = None,
    ) -> None:
        self.wake_up = wake_up
        self._timers_made = 0
        self._failure = RunFailure()
        self.outside = OutsideWork(self._failure)
        self._virtual_selector = VirtualSelector(selector or selectors.DefaultSelector())
        super().__init__(self._virtual_selector)
        self.clock = VirtualClock(self, start=start, budgets=budgets)
        self._virtual_selector.signal_handlers = getattr(self, "_signal_handlers", ())  # none on Windows
        self._decision = Decision(self, self.clock, self._virtual_selector, self.outside, self._failure)
        self._virtual_selector.when_busy = self._decision.when_busy
        self._real_slow_callback_duration = self.slow_callback_duration
        # On the instance: freezegun's `real_asyncio=True` replaces the method of the class.
        self.time = self.clock.time  # type: ignore[method-assign]
        self.switch_clock()

    # -- for the clock
    def switch_clock(self) -> None:
        """Follow the clock from virtual to real time, or back."""
        if self.clock.is_virtual:
            self._virtual_selector.when_idle = self._decision.when_idle
            self.note_time(self.clock.time())
            # asyncio takes the loop's time before and after a callback, which says nothing about virtual time.
            self._real_slow_callback_duration = self.slow_callback_duration
            self.slow_callback_duration = math.inf
        else:
            self._virtual_selector.when_idle = None
            self._clock_resolution = _real_resolution()
            self.slow_callback_duration = self._real_slow_callback_duration

    def note_time(self, moment: float) -> None:
        """Follow the clock to a moment."""
        self._clock_resolution = resolution_at(moment)

    def next_timer(self) -> float:
        """Return the moment of the next timer; infinity without one."""
        return self._scheduled[0].when() if self._scheduled else math.inf

    def next_moments(self) -> list[float]:
        """Return the first moments at which timers are due."""
        return sorted({timer.when() for timer in list(self._scheduled) if not timer.cancelled()})[
            :_MOMENTS_SHOWN
        ]

    def has_ready_callbacks(self) -> bool:
        """Say whether a callback is ready to run."""
        return bool(self._ready)

    def runs_for(self, task: asyncio.Task[Any]) -> bool:
        """Say whether the loop runs to finish this task."""
        return task is self._failure.root

    def fail(self, error: BaseException) -> None:
        """Make the present run fail: its task is cancelled, and `run_until_complete` raises the error."""
        self._failure.fail(error)

    # -- timers
    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> Timer:
        """Call back at a moment of the loop's time, see `asyncio.loop.call_at`.

        Raises:
            TypeError: `when` is None.
            ValueError: `when` is not a number.
        """
        if when is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise TypeError("when cannot be None")
        self._check_closed()
        if self._debug:
            self._check_thread()
            self._check_callback(callback, "call_at")
        if -COARSE < when < COARSE:
            asked, when = when, round(when * 1e9) / 1e9  # `quantise`, which would cost a tenth of this method
            if when < asked and when <= self.time() < asked:
                # The moment has come but for the last bits. Who compares them, as anyio does, would ask for ever.
                when = asked
                if self.clock.is_virtual:  # pragma: no branch - real time is rarely within the last bits
                    self.clock.set_time(asked)
        elif when != when:
            raise ValueError(_NAN_TIMER)
        timer = Timer(when, callback, args, self, context)
        if self._debug:
            timer.drop_innermost_frame()
        self._timers_made = timer.sequence = self._timers_made + 1
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # pyright: ignore[reportPrivateUsage]
        return timer

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> Timer:
        """Call back after some seconds of the loop's time, see `asyncio.loop.call_later`.

        Raises:
            TypeError: `delay` is None.
            ValueError: `delay` is not a number.
        """
        if delay is None:  # pyright: ignore[reportUnnecessaryComparison]
            raise TypeError("delay must not be None")
        now = self.time()
        when = now + delay
        if when - now < NANOSECOND:
            when = moment_after(now, delay)
        timer = self.call_at(when, callback, *args, context=context)
        if self._debug:
            timer.drop_innermost_frame()
        return timer

    # -- what may be finished from outside
    def create_future(self) -> asyncio.Future[Any]:
        """Return a new future, and note it if something outside the loop is going to finish it."""
        future: asyncio.Future[Any] = _Future(loop=self)
        maker = _getframe(1)
        found = _kind_by_file(maker.f_code.co_filename)
        if (found or found is None) and (kind := kind_of(maker)):  # `DURABLE` is 0; comparing costs more
            if kind == READING:
                outside = self.outside
                outside.futures.note_reader(maker.f_locals["self"])
                outside.is_noted = True
            else:
                self._note_future(future, kind, maker)
        return future

    def _note_future(self, future: asyncio.Future[Any], kind: int, maker: types.FrameType) -> None:
        self.outside.futures.note(future, kind, maker)
        self.outside.is_noted = True

    def add_reader(self, fd: FileDescriptorLike, callback: Callable[[Unpack[Ts]], Any], *args: *Ts) -> None:
        """Watch a descriptor, see `asyncio.loop.add_reader`."""
        super().add_reader(fd, callback, *args)
        self._note_descriptor(fd, callback)

    def add_writer(self, fd: FileDescriptorLike, callback: Callable[[Unpack[Ts]], Any], *args: *Ts) -> None:
        """Watch a descriptor, see `asyncio.loop.add_writer`."""
        super().add_writer(fd, callback, *args)
        self._note_descriptor(fd, callback)

    def _note_descriptor(self, fd: FileDescriptorLike, callback: Callable[..., object]) -> None:
        self.outside.descriptors.add(fd, callback)
        self.outside.is_noted = True

    def remove_reader(self, fd: FileDescriptorLike) -> bool:
        """Stop watching a descriptor, see `asyncio.loop.remove_reader`."""
        self.outside.descriptors.remove(fd)
        return super().remove_reader(fd)

    def remove_writer(self, fd: FileDescriptorLike) -> bool:
        """Stop watching a descriptor, see `asyncio.loop.remove_writer`."""
        self.outside.descriptors.remove(fd)
        return super().remove_writer(fd)

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> events.Handle:
        """Call back from another thread, see `asyncio.loop.call_soon_threadsafe`."""
        if threading.get_ident() != self._thread_id:
            self.outside.threads.note_call(callback)
        return super().call_soon_threadsafe(callback, *args, context=context)

    def close(self) -> None:
        """Close the loop, see `asyncio.loop.close`."""
        super().close()
        # No cycles are left, so that the loop is freed at once and not when the collector runs. Where asyncio's own
        # streams are one, at least what was known of the outside does not wait for the collector with them.
        self._virtual_selector.forget_decision()
        self.outside.forget()
        if hasattr(self, "_decision"):
            del self._decision

    # -- running
    def run_forever(self) -> None:
        """Run until `stop`, see `asyncio.loop.run_forever`."""
        wall = self.clock.used_wall
        if wall is not None:
            wall.enter()
        try:
            super().run_forever()
        finally:
            wall = self.clock.used_wall  # what runs may have been the first to ask for it
            if wall is not None:
                wall.exit()

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Run until a future is done, see `asyncio.loop.run_until_complete`.

        Returns:
            Its result.

        Raises:
            DeadlockError: nothing can wake any task.
            ClockLimitError: virtual time or its jumps ran over their limit.
            ClockStallError: virtual time could not move for too long in real time.
            ClockTimeoutError: the clock's deadline has passed.
            BaseException: what the future raises.
        """
        __tracebackhide__ = True
        self._check_closed()
        self._check_running()
        is_new = not asyncio.isfuture(future)
        root: asyncio.Future[T] = asyncio.ensure_future(cast("Awaitable[T]", future), loop=self)
        if is_new:
            root._log_destroy_pending = False  # type: ignore[attr-defined]
        self._failure.enter(root)
        failure: BaseException | None = None
        try:
            try:
                result = super().run_until_complete(root)
            finally:
                failure = self._failure.leave()
        except asyncio.CancelledError as error:
            if failure is None:
                raise
            # The traceback of our cancellation leads to the line that waits.
            raise failure.with_traceback(error.__traceback__) from None
        except BaseException as error:
            if is_new and root.done() and not root.cancelled():
                root.exception()  # it is raised here: nobody need be told that it was never retrieved
            if failure is None or failure is error or isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise failure from error
        if failure is not None:  # the cancellation was swallowed
            raise failure
        return result


def _real_resolution() -> float:
    import time

    return time.get_clock_info("monotonic").resolution
