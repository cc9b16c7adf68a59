"""Run a random program on the running loop, and write down what happens."""

from __future__ import annotations

import asyncio
import itertools
import math
import sys
from collections.abc import Coroutine
from typing import Any

from tests.clock.random_programs import Body, Program, Step

__all__ = ["ProgramRun"]

Entry = tuple[int, str, str]
STRANGE = 20  # rounds of cancellation after the last possible timer; more than one is rare


class OrderedTask(asyncio.Task[Any]):
    """A task whose hash is its number: sets of tasks have the same order in every run.

    Groups cancel their children, and a runner what is left, in the order of a set.
    """

    def __init__(self, coro: Coroutine[Any, Any, Any], *, number: int, **options: Any) -> None:
        self.number = number  # first: an eager task runs before the constructor returns
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.number


class ProgramRun:
    """One run of a program: `trace` has who did what at which tick, in order."""

    def __init__(self, program: Program, delays: dict[int, int], *, tick: float, absolute: bool) -> None:
        """Prepare the run.

        Args:
            program: what to run.
            delays: the ticks of each step with a delay, by the step's number.
            tick: the seconds of a tick.
            absolute: whether `delays` count from the start, and not from the step.
        """
        self.trace: list[Entry] = []
        self.timed_out = False  # whether tasks were left that nothing would have woken
        self._program = program
        self._delays = delays
        self._tick = tick
        self._absolute = absolute
        self._end = (max if absolute else sum)([*delays.values(), 0]) + 1

    async def main(self, *, guarded: bool = True) -> None:
        """Run the program to its end; cancel what still waits after the last possible deadline.

        Args:
            guarded: whether there is a timer for that; without it, such a program never ends.
        """
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._note_error)
        self._tasks: list[OrderedTask] = []
        self._spawned: list[asyncio.Task[str]] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._numbers = itertools.count(1)
        self._make_shared_things()
        self._start = self._loop.time()
        self._loop.set_task_factory(self._create_task)
        over = self._loop.create_future()
        if guarded:
            self._timers.append(self._loop.call_later(self._end * self._tick, over.set_result, None))
        try:
            for number, body in enumerate(self._program.bodies):
                asyncio.create_task(self._run(f"task {number}", body), name=f"task {number}")
            while (waiting := self._pending()) and not over.done():
                await asyncio.wait([*waiting, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end_tasks()
            for timer in self._timers:
                timer.cancel()
            self._loop.set_task_factory(None)
        for task in self._tasks:
            self._note("end", f"task number {task.number} {_describe_outcome(task)}")

    def _make_shared_things(self) -> None:
        self._events = [asyncio.Event() for _ in range(2)]
        self._queues: list[asyncio.Queue[int]] = [asyncio.Queue(maxsize) for maxsize in (0, 1)]
        self._locks = [asyncio.Lock() for _ in range(2)]
        self._semaphores = [asyncio.Semaphore(value) for value in (1, 2)]
        self._condition = asyncio.Condition()
        self._barrier = asyncio.Barrier(2)

    def _create_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> OrderedTask:
        if self._program.eager and sys.version_info >= (3, 12):
            options.setdefault("eager_start", True)
        task = OrderedTask(coro, number=next(self._numbers), loop=loop, **options)
        self._tasks.append(task)
        return task

    def _note_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # What else is reported, as an exception that nobody asked for, comes when objects happen to be freed.
        if context["message"].startswith("Exception in callback"):
            self._note("loop", context["message"])

    def _pending(self) -> list[OrderedTask]:
        return [task for task in self._tasks if not task.done()]

    async def _end_tasks(self) -> None:
        for number in itertools.count():
            waiting = self._pending()
            if not waiting:
                return
            self.timed_out = True
            assert number < STRANGE, f"these tasks ignore {STRANGE} cancellations: {waiting}"
            for task in waiting:
                task.cancel()
            until = self._start + (self._end + 1 + number) * self._tick
            await asyncio.sleep(until - self._loop.time() if self._absolute else self._tick)

    def _note(self, who: str, what: str) -> None:
        tick = math.floor((self._loop.time() - self._start) / self._tick + 1e-6)
        self.trace.append((tick, who, what))

    def _delay(self, step: Step) -> float:
        seconds = self._delays[step.number] * self._tick
        return self._start + seconds - self._loop.time() if self._absolute else seconds

    def _spawn(self, step: Step, number: int) -> asyncio.Task[str]:
        """Create a task that later steps can cancel or join."""
        name = f"child {step.number}.{number}"
        task = asyncio.create_task(self._run(name, step.bodies[number]), name=name)
        self._spawned.append(task)
        return task

    async def _run(self, who: str, body: Body) -> str:
        """Be one task, or what stands for one."""
        self._note(who, "starts")
        try:
            await self._run_body(who, body)
        except BaseException as error:
            self._note(who, f"fails with {_describe(error)}")
            raise
        self._note(who, "ends")
        return who

    async def _run_body(self, who: str, body: Body) -> None:
        for step in body:
            self._note(who, f"{step.number} {step.kind}")
            try:
                result = await getattr(self, f"_do_{step.kind}")(who, step)
            except BaseException as error:
                self._note(who, f"{step.number} fails with {_describe(error)}")
                raise
            self._note(who, f"{step.number} done {result}")

    async def _do_pass(self, who: str, step: Step) -> None:
        await asyncio.sleep(0)

    async def _do_raise(self, who: str, step: Step) -> None:
        raise ValueError(step.number)

    async def _do_sleep(self, who: str, step: Step) -> None:
        await asyncio.sleep(self._delay(step))

    async def _do_call_later(self, who: str, step: Step) -> None:
        def call_back() -> None:
            self._note("timer", f"{step.number} fires")
            if step.which < 2:
                self._event(step).set()
            elif step.which == 2:
                self._queues[0].put_nowait(step.number)
            else:
                asyncio.create_task(self._do_notify("timer", step))

        self._timers.append(self._loop.call_later(self._delay(step), call_back))

    async def _do_resolve_later(self, who: str, step: Step) -> int:
        future: asyncio.Future[int] = self._loop.create_future()

        def resolve() -> None:
            self._note("timer", f"{step.number} finds a future that is {'done' if future.done() else 'open'}")
            if not future.done():
                future.set_result(step.number)

        self._timers.append(self._loop.call_later(self._delay(step), resolve))
        return await future

    def _event(self, step: Step) -> asyncio.Event:
        return self._events[step.which % 2]

    async def _wait(self, step: Step, coro: Coroutine[Any, Any, object]) -> object:
        """Wait for ever, or until the step's deadline."""
        if step.which < 2:
            return await coro
        try:
            async with asyncio.timeout(self._delay(step)):
                return await coro
        except TimeoutError:
            return "too late"

    async def _do_set_event(self, who: str, step: Step) -> None:
        self._event(step).set()

    async def _do_clear_event(self, who: str, step: Step) -> None:
        self._event(step).clear()

    async def _do_wait_event(self, who: str, step: Step) -> object:
        return await self._wait(step, self._event(step).wait())

    async def _do_put(self, who: str, step: Step) -> None:
        await self._queues[step.which % 2].put(step.number)

    async def _do_get(self, who: str, step: Step) -> object:
        return await self._wait(step, self._queues[step.which % 2].get())

    async def _do_notify(self, who: str, step: Step) -> None:
        async with self._condition:
            self._condition.notify(step.which + 1)

    async def _do_wait_condition(self, who: str, step: Step) -> object:
        async with self._condition:
            return await self._wait(step, self._condition.wait())

    async def _do_barrier(self, who: str, step: Step) -> object:
        return await self._wait(step, self._barrier.wait())

    async def _do_lock(self, who: str, step: Step) -> None:
        async with self._locks[step.which % 2]:
            await self._run_body(who, step.bodies[0])

    async def _do_semaphore(self, who: str, step: Step) -> None:
        async with self._semaphores[step.which % 2]:
            await self._run_body(who, step.bodies[0])

    async def _do_spawn(self, who: str, step: Step) -> None:
        self._spawn(step, 0)

    async def _do_cancel(self, who: str, step: Step) -> str:
        if not self._spawned:
            return "nobody"
        task = self._spawned[step.which % len(self._spawned)]
        return f"{task.get_name()}: {task.cancel()}"

    async def _do_join(self, who: str, step: Step) -> str:
        # Only later tasks: where tasks await each other in a circle, cancel() recurses without end.
        current = hash(asyncio.current_task())
        later = [task for task in self._spawned if hash(task) > current]
        return await later[step.which % len(later)] if later else "nobody"

    async def _do_timeout(self, who: str, step: Step) -> str:
        try:
            async with asyncio.timeout(self._delay(step)):
                await self._run_body(who, step.bodies[0])
        except TimeoutError:
            return "too late"
        return "in time"

    async def _do_wait_for(self, who: str, step: Step) -> str:
        try:
            return await asyncio.wait_for(
                self._run(f"{who}/{step.number}", step.bodies[0]), self._delay(step)
            )
        except TimeoutError:
            return "too late"

    async def _do_shield(self, who: str, step: Step) -> str:
        return await asyncio.shield(self._spawn(step, 0))

    async def _do_swallow(self, who: str, step: Step) -> str:
        try:
            await self._run_body(who, step.bodies[0])
        except asyncio.CancelledError:
            return "swallowed"
        return "not cancelled"

    async def _do_try(self, who: str, step: Step) -> None:
        try:
            await self._run_body(who, step.bodies[0])
        except Exception:
            await self._run_body(who, step.bodies[1])

    async def _do_finally(self, who: str, step: Step) -> None:
        try:
            await self._run_body(who, step.bodies[0])
        finally:
            await self._run_body(who, step.bodies[1])

    async def _do_group(self, who: str, step: Step) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(1 + step.which % 2):
                coro = self._run(f"child {step.number}.{number}", step.bodies[number])
                try:
                    group.create_task(coro)
                except RuntimeError:  # an eager child has failed already
                    coro.close()
                    raise
            if not step.which % 2:
                await self._run_body(who, step.bodies[1])

    async def _do_gather(self, who: str, step: Step) -> str:
        children = (
            self._run(f"child {step.number}.{number}", body) for number, body in enumerate(step.bodies)
        )
        results = await asyncio.gather(*children, return_exceptions=step.which % 2 == 1)
        return ", ".join(result if isinstance(result, str) else _describe(result) for result in results)

    async def _do_wait(self, who: str, step: Step) -> str:
        tasks = [self._spawn(step, number) for number in range(len(step.bodies))]
        done, _ = await asyncio.wait(
            tasks,
            timeout=self._delay(step) if step.which % 2 else None,
            return_when=asyncio.FIRST_COMPLETED if step.which // 2 else asyncio.ALL_COMPLETED,
        )
        return ", ".join(sorted(task.get_name() for task in done))


def _describe(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__}({', '.join(map(_describe, error.exceptions))})"
    return f"{type(error).__name__}{error.args if isinstance(error, ValueError) else ''}"


def _describe_outcome(task: asyncio.Task[Any]) -> str:
    if task.cancelled():
        return "is cancelled"
    error = task.exception()
    return "has ended" if error is None else f"has failed with {_describe(error)}"
