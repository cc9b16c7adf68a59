"""What begins on the loop of a schedule: every wait for a completion is noted as an operation.

While an explorer is at work, a sleep is taken out of the timers, a `sleep(0)` is marked where it stands in the ready
queue, what the selector reports and what threads send waits until it is picked. Otherwise everything is as on the
virtual loop.

Overridden of asyncio (3.11 to 3.15): `_add_callback`, through which what the selector reports becomes ready, and
`_start_serving`, by which a server begins to listen.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import socket
import threading
import time
import types
import weakref
from asyncio import Handle
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from math import inf
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack, cast

from pytest_uno.clock.budgets import Budgets
from pytest_uno.clock.future_kinds import WORK
from pytest_uno.clock.real_time import monotonic
from pytest_uno.clock.virtual_loop import VirtualEventLoop
from pytest_uno.explore.asyncio_internals import SLEEP_CALLBACK, ThreadHandle, is_step_of, may_be_step
from pytest_uno.explore.completions import IO_LATENESS, Completions
from pytest_uno.explore.jobs import IN_TURN, Job, Jobs, Letter
from pytest_uno.explore.operations import IO, SLEEP, YIELD, Operation
from pytest_uno.explore.providers import submission_of
from pytest_uno.explore.replies import Replies
from pytest_uno.explore.sources import Sources
from pytest_uno.explore.steady_tasks import make_task

if TYPE_CHECKING:
    from pytest_uno.clock.connections import VirtualSocketTransport
    from pytest_uno.clock.selector import Events
    from pytest_uno.clock.timers import Timer
    from pytest_uno.explore.settings import Settings

__all__ = ["IntakeLoop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_BUDGETS = Budgets(deadlock_grace=0.05, deadlock_patience=0.3, stall=10.0)
"""A hang is the symptom of many bugs, and met again and again while a schedule is shrunk."""

_BETWEEN_LOOKS = 0.001
"""Real seconds, while something is kept back that the selector would report at once."""

_current_task = asyncio.current_task


class IntakeLoop(VirtualEventLoop):
    """The half of the loop of a schedule that notes what begins.

    Args:
        settings: what may be late, and how late.

    Attributes:
        is_exploring: completions wait until they are picked; otherwise everything comes in stock order.
    """

    __slots__ = (
        "_brought",
        "_completions",
        "_is_alone",
        "_jitter",
        "_jobs",
        "_keeps_sleeps",
        "_keeps_yields",
        "_lateness",
        "_pending",
        "_readiness",
        "_replies",
        "_select",
        "_servers",
        "_settings",
        "_sources",
        "_tasks_made",
        "is_exploring",
    )

    def __init__(self, settings: Settings) -> None:
        self.is_exploring = False
        self._settings = settings
        self._tasks_made = 0
        self._jitter = settings.jitter
        self._completions = Completions()
        self._sources = Sources()
        # Not a `WeakSet`: to go through one takes several times as long, and each new connection does.
        self._servers: list[weakref.ref[socket.socket]] = []
        self._pending = self._completions.pending
        self._readiness: dict[int, Operation] = {}
        self._brought: set[int] = set()  # readiness that is taken in this round, and reported until then
        self._keeps_sleeps = self._keeps_yields = False
        self._is_alone = False  # what is reported comes at once: nothing else could come instead
        self._lateness = inf if settings.timeouts else settings.jitter * IO_LATENESS
        super().__init__(budgets=_BUDGETS)
        self._select = self._virtual_selector.wait
        self._virtual_selector.wait = self._wait_for_news
        self._jobs = Jobs(self.outside.threads.count_waiting_for_loop)
        self._replies = Replies(self.outside)

    @property
    def slow_jobs(self) -> int:
        """How many jobs and servers were not waited for to their end: their replies come by real time."""
        return self._jobs.were_slow + self._replies.were_slow

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
        if self.is_exploring and callback is SLEEP_CALLBACK:
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
            latest = now + (when - now) * self._jitter if self._keeps_sleeps else when
            self._completions.add(Operation(SLEEP, when, latest, timer.sequence, None, timer, task, "sleep"))
        return timer

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Make a task, see `asyncio.loop.create_task`; sets of them have the same order in each schedule."""
        if self.get_task_factory() is not None:
            return super().create_task(coro, **options)
        self._check_closed()
        self._tasks_made += 1
        return make_task(self, self._tasks_made, coro, options)

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
        if self._keeps_yields and may_be_step(type(callback)):
            task = _current_task()
            if is_step_of(callback, task):
                now = self.time()
                self._timers_made = sequence = self._timers_made + 1
                one = Operation(YIELD, now, now + self._lateness, sequence, None, handle, task, "sleep(0)")
                one.is_in_ready = True
                self._completions.add(one)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> Handle:
        """Call back from another thread, see `asyncio.loop.call_soon_threadsafe`."""
        about = args[0] if args else None
        is_inside = threading.get_ident() == self._thread_id
        if not self.is_exploring or (is_inside and not self._jobs.is_answer(about)):
            return super().call_soon_threadsafe(callback, *args, context=context)
        self._check_closed()
        if not is_inside:
            self.outside.threads.note_call(callback)
        handle = ThreadHandle(callback, args, self, context)
        self._jobs.put(handle, about, threading.get_native_id())
        self._write_to_self()
        return handle

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Give a job to an executor, see `asyncio.loop.run_in_executor`; its answer comes when it is picked."""
        if not self.is_exploring or not isinstance(executor, ThreadPoolExecutor | None):
            return super().run_in_executor(executor, func, *args)
        # From 3.15 on, a job that is over before its future is chained to asyncio's finishes that one at once.
        is_chained = threading.Lock()
        with is_chained:
            return super().run_in_executor(executor, lambda: _run_after(is_chained, func, *args))

    def _note_future(self, future: asyncio.Future[Any], kind: int, maker: types.FrameType) -> None:
        super()._note_future(future, kind, maker)
        if kind != WORK or not self.is_exploring:
            return
        if maker.f_code.co_name == "sock_connect":
            self._replies.note(future)
            return
        if (submission := submission_of(maker)) is not None:
            self._jobs.wait(IN_TURN)
            task = _current_task()
            self._jobs.in_flight[id(future)] = Job(future, task, submission, self._next_place())

    def _make_socket_transport(
        self, sock: socket.socket, protocol: Any, waiter: Any = None, **options: Any
    ) -> VirtualSocketTransport:
        transport = super()._make_socket_transport(sock, protocol, waiter, **options)
        if self.is_exploring and options.get("server") is None and not self._serves(transport):
            self._replies.note(transport)
        return transport

    def _serves(self, transport: VirtualSocketTransport) -> bool:
        """Say whether the other end of a connection is a server of this loop."""
        peer: Any = cast("asyncio.BaseTransport", transport).get_extra_info("peername")
        if type(peer) is not tuple:
            return False
        for ref in self._servers:
            name = _name_of(ref())
            if name and name[1] == peer[1] and name[0] in (peer[0], "0.0.0.0", "::"):
                return True
        return False

    def _start_serving(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sock: socket.socket,
        *args: Any,
        **options: Any,
    ) -> None:
        self._servers.append(weakref.ref(sock))
        super()._start_serving(  # type: ignore[misc] # pyright: ignore[reportUnknownMemberType]
            protocol_factory, sock, *args, **options
        )

    def _add_callback(self, handle: Any) -> None:
        """Take what the selector reports (`BaseSelectorEventLoop._process_events`)."""
        callback = handle._callback
        name: str = getattr(callback, "__name__", "")
        if not self.is_exploring or (name == "_read_from_self" and callback == self._read_from_self):
            self._ready.append(handle)
            return
        key = id(handle)
        if key in self._readiness or key in self._brought:
            return  # reported until it is read
        owner: object = getattr(callback, "__self__", None)
        waits: Any = owner if owner is not self else next(iter(handle._args), None)
        if isinstance(waits, asyncio.Future) and waits.done():
            return  # nobody waits any more; asyncio stops to watch the socket in the next round
        if self._is_alone:
            self._ready.append(handle)
            return
        number = self._sources.number(None if owner is self else owner, handle)
        one = self._begin(IO, handle, (name, number), None, _SOCKET_CALLBACKS.get(name, "socket"))
        self._readiness[key] = one
        self._answer(one, cast("object", waits))

    def _next_place(self) -> int:
        self._timers_made += 1  # one order for everything that is due at the same moment
        return self._timers_made

    def _begin(
        self, kind: str, handle: Handle, source: object, task: asyncio.Task[Any] | None, what: str
    ) -> Operation:
        now = self.time()
        one = Operation(kind, now, now + self._lateness, self._next_place(), source, handle, task, what)
        self._completions.add(one)
        return one

    def _take(self, letter: Letter) -> None:
        job = letter.job
        if job is None:
            self._begin(IO, letter.handle, letter.thread, None, "thread")
            return
        now = self.time()
        one = Operation(
            IO,
            now,
            now + self._lateness,
            job.sequence,
            job.source,
            letter.handle,
            job.task,
            job.what,
        )
        self._completions.add(one)
        self._answer(one, job.future)

    def _answer(self, one: Operation, waits: object) -> None:
        """Tell the clock that what has come for somebody does not hold it, however long it is kept back."""
        if isinstance(waits, _ANSWERED):
            one.answers = waits
            self.outside.answered.add(waits)

    def _wait_for_news(self, seconds: float | None) -> Events:
        """Wait for the descriptors, except those of which is known that they have something."""
        events = self._select(seconds)
        if not self._readiness or not events:
            return events
        end = None if seconds is None else monotonic() + seconds
        readiness = self._readiness
        while True:
            # Written out: it is asked in each round while something is kept back.
            news = [
                event
                for event in events
                if (event[1] & EVENT_READ and id(event[0].data[0]) not in readiness)
                or (event[1] & EVENT_WRITE and id(event[0].data[1]) not in readiness)
            ]
            if news or (end is not None and monotonic() >= end):
                return news
            time.sleep(_BETWEEN_LOOKS)
            events = self._select(0)

    def close(self) -> None:
        """Close the loop, see `asyncio.loop.close`."""
        super().close()
        self._virtual_selector.wait = self._select
        self._jobs.forget()

    _read_from_self: Callable[[], object]
    _write_to_self: Callable[[], object]
    _process_events: Callable[[Any], object]


def _name_of(server: socket.socket | None) -> Any:
    """Return the address of a server; None of one that is closed, and text of one on a unix socket."""
    try:
        return None if server is None else server.getsockname()
    except OSError:
        return None


def _run_after(moment: threading.Lock, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
    with moment:
        pass
    return func(*args)


_ANSWERED: tuple[type[object], ...] = (asyncio.Future, asyncio.Transport)

_SOCKET_CALLBACKS = {"_accept_connection": "a connection", "_write_ready": "room to write"}
