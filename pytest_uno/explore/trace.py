"""Who ran when, in one schedule: recorded only when a failure is explained, or traces are compared."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pytest_uno.clock.asyncio_internals import waiter_of
from pytest_uno.clock.await_chain import waiting_frames
from pytest_uno.explore.asyncio_internals import exception_of, reading_future
from pytest_uno.explore.failures import users_sites
from pytest_uno.explore.operations import FIRE, Operation

if TYPE_CHECKING:
    from pytest_uno.explore.schedule_loop import ScheduleLoop

__all__ = ["FIRED", "HELD", "RAN", "Place", "Step", "Tracer"]

RAN, HELD, FIRED = "ran", "held", "fired"


class Place(NamedTuple):
    """A line of the user's code; file "" where there is none."""

    file: str
    line: int


class Step(NamedTuple):
    """One step of a schedule.

    Attributes:
        kind: `ran`, `held` (an operation was put on hold) or `fired` (a time-out fired before its operation came).
        time: the virtual moment, in seconds.
        who: the task, or what has no task.
        before: where it stood; None before its first step.
        after: where it stands then; None at its end.
        end: how it ended, `returned`, `cancelled` or `raised X`; else "".
        what: of a hold, what was slow; of a completion that is picked, nothing.
        operation: of a hold, the class of the operation.
        is_librarys: neither the task's coroutine nor what it waits in is the user's.
    """

    kind: str
    time: float
    who: str
    before: Place | None
    after: Place | None
    end: str = ""
    what: str = ""
    operation: str = ""
    is_librarys: bool = False


class Tracer:
    """Records one schedule."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._loop: ScheduleLoop | None = None
        self._running: tuple[asyncio.Task[Any], float, Place | None] | None = None
        self._names: dict[asyncio.Task[Any], str] = {}
        self._sources: dict[asyncio.Transport, str] = {}
        self._counts: dict[str, int] = {}

    def attach(self, loop: ScheduleLoop, main: asyncio.Task[Any]) -> None:
        """Begin to record."""
        self._loop = loop
        self._names[main] = _coroutine_name(main)
        loop.trail = self._note_decision
        loop._ready = _TracedQueue(self, loop._ready)  # pyright: ignore[reportPrivateUsage]

    def detach(self) -> list[Step]:
        """End to record, and return the steps."""
        self._finish()
        loop = self._loop
        assert loop is not None
        loop.trail = None
        loop._ready = deque(loop._ready)  # pyright: ignore[reportPrivateUsage]
        self._loop = None
        return self.steps

    def name(self, task: asyncio.Task[Any]) -> str:
        """Return what a task is called: its name, or that of its coroutine with a number."""
        known = self._names.get(task)
        if known is None:
            given = task.get_name()
            if given.startswith("Task-"):
                given = self._number(_coroutine_name(task))
            known = self._names[task] = given
        return known

    def _number(self, base: str) -> str:
        self._counts[base] = self._counts.get(base, 0) + 1
        return f"{base}#{self._counts[base]}"

    def _name_source(self, held: Operation) -> str:
        """Name what an operation is for, where no task waits for it: not by a port, which is another in each run."""
        transport = held.answers
        if not isinstance(transport, asyncio.Transport):
            return held.what
        known = self._sources.get(transport)
        if known is None:
            known = self._sources[transport] = self._number(type(transport.get_protocol()).__name__)
        return known

    def begin(self, handle: asyncio.Handle) -> None:
        """Note that a callback is about to run."""
        self._finish()
        # A cancelled handle has no callback any more.
        owner: Any = getattr(cast("Any", handle)._callback, "__self__", None)
        if isinstance(owner, asyncio.Task):
            task = _typed(owner)  # pyright: ignore[reportUnknownArgumentType]
            assert self._loop is not None
            self.name(task)
            self._running = (task, self._loop.time(), place_of(task))

    def _finish(self) -> None:
        if self._running is None:
            return
        task, time, before = self._running
        self._running = None
        end = ""
        if task.done():
            end = "returned"
            if task.cancelled():
                end = "cancelled"
            elif (error := exception_of(task)) is not None:
                end = f"raised {type(error).__name__}"
        after = None if end else place_of(task)
        is_librarys = before is None and after is None and not _is_users(task)
        self.steps.append(Step(RAN, time, self.name(task), before, after, end, is_librarys=is_librarys))

    def _note_decision(self, chosen: Operation, held: tuple[Operation, ...]) -> None:
        self._finish()
        loop = self._loop
        assert loop is not None
        for one in held:
            task = one.task or _waiting_for(one, loop)
            who = self._name_source(one) if task is None else self.name(task)
            place = None if task is None else place_of(task)
            self.steps.append(Step(HELD, loop.time(), who, place, place, "", one.what, one.kind))
        if chosen.kind == FIRE:
            self.steps.append(Step(FIRED, loop.time(), "a time-out", None, None))


class _TracedQueue(deque[Any]):
    """The ready queue, which tells the tracer whose turn it is."""

    def __init__(self, tracer: Tracer, content: Any) -> None:
        super().__init__(content)
        self._tracer = tracer

    def popleft(self) -> Any:
        handle = super().popleft()
        self._tracer.begin(handle)
        return handle


def place_of(task: asyncio.Task[Any]) -> Place | None:
    """Return the innermost line of the user's code at which a task waits; None before its first step.

    Args:
        task: a suspended task.
    """
    coroutine = task.get_coro()
    if inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
        return None
    frames = waiting_frames(task)
    is_user = users_sites().is_user
    for code, line in frames:
        if is_user(code.co_filename):
            return Place(code.co_filename, line)
    return None


def _waiting_for(held: Operation, loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any] | None:
    """Return the task that waits for what comes through a socket."""
    answers: Any = held.answers
    future: object = answers if asyncio.isfuture(answers) else reading_future(answers)
    if future is None:
        return None
    return next((task for task in asyncio.all_tasks(loop) if waiter_of(task) is future), None)


def _is_users(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and users_sites().is_user(code.co_filename)


def _typed(task: Any) -> asyncio.Task[Any]:
    return cast("asyncio.Task[Any]", task)


def _coroutine_name(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    name: str = getattr(coroutine, "__qualname__", None) or type(coroutine).__name__
    return name.rpartition(".<locals>.")[2]
