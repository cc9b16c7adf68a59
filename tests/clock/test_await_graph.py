from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_uno.clock import asyncio_internals, holders, waiting_for
from pytest_uno.clock.await_chain import await_links, running_frames
from pytest_uno.clock.await_graph import (
    AwaitGraph,
    AwaitNode,
    Position,
    awaiters,
    capture_await_graph,
    waiting_frames,
)
from pytest_uno.clock.holders import entered_contexts, reachable

Waits = Callable[[], Coroutine[Any, Any, object]]


async def turn(turns: int = 8) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def forever() -> None:
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def started(**coroutines: Coroutine[Any, Any, object]) -> AsyncIterator[dict[str, asyncio.Task[Any]]]:
    """Start tasks in order, let each run until it waits, and end them afterwards."""
    tasks: dict[str, asyncio.Task[Any]] = {}
    for name, coroutine in coroutines.items():
        tasks[name] = asyncio.create_task(coroutine, name=name)
        await turn()
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


def picture(tasks: dict[str, asyncio.Task[Any]]) -> AwaitGraph:
    return capture_await_graph(asyncio.get_running_loop(), tasks=tasks.values())


def node(graph: AwaitGraph, name: str) -> AwaitNode:
    return next(one for one in graph.nodes if one.name == name)


def waits(graph: AwaitGraph) -> dict[str, str]:
    return {one.name: one.waits_for for one in graph.nodes}


def functions(task: asyncio.Task[Any]) -> list[str]:
    return [code.co_name for code, _ in waiting_frames(task)]


# ------------------------------------------------------------------ where a task stands


async def numbers() -> AsyncIterator[int]:
    yield 1
    await forever()


class Custom:
    """An awaitable whose iterator is a generator."""

    def __await__(self) -> Generator[Any, None, None]:
        yield from forever().__await__()


@types.coroutine
def by_generator() -> Generator[Any, None, None]:
    yield from forever().__await__()


async def iterate() -> None:
    async for _ in numbers():
        pass


async def step() -> None:
    iterator = numbers()
    await anext(iterator)
    await anext(iterator, None)


async def throw() -> None:
    async def absorb() -> AsyncIterator[int]:
        try:
            yield 1
        except KeyError:
            await forever()

    iterator = absorb()
    await anext(iterator)
    await iterator.athrow(KeyError())  # type: ignore[attr-defined]


async def await_custom() -> None:
    await Custom()


async def await_generator() -> None:
    await by_generator()


@pytest.mark.parametrize(
    ("waiting", "names"),
    [
        (forever, ["wait", "forever"]),
        (iterate, ["wait", "forever", "numbers", "iterate"]),
        (step, ["wait", "forever", "numbers", "step"]),
        (throw, ["wait", "forever", "absorb", "throw"]),
        (await_custom, ["wait", "forever", "__await__", "await_custom"]),
        (await_generator, ["wait", "forever", "by_generator", "await_generator"]),
    ],
)
def test_frames_from_the_innermost_await_outwards(waiting: Waits, names: list[str]) -> None:
    async def main() -> None:
        async with started(it=waiting()) as tasks:
            assert functions(tasks["it"]) == names

    asyncio.run(main())


def test_the_line_is_the_line_of_the_await() -> None:
    async def main() -> None:
        async with started(it=forever()) as tasks:
            code, line = waiting_frames(tasks["it"])[-1]
            assert (code, line) == (forever.__code__, forever.__code__.co_firstlineno + 1)

    asyncio.run(main())


def test_synchronous_frames_of_a_greenlet_stand_in_between() -> None:
    concurrency = pytest.importorskip("sqlalchemy.util")

    def synchronous() -> None:
        concurrency.await_only(forever())

    async def spawn() -> None:
        await concurrency.greenlet_spawn(synchronous)

    async def main() -> None:
        async with started(it=spawn()) as tasks:
            names = functions(tasks["it"])
            # Between the two lie SQLAlchemy's own frames, whose names are its business.
            assert [name for name in names if not name.startswith("await_")] == [
                "wait",
                "forever",
                "synchronous",
                "greenlet_spawn",
                "spawn",
            ]

    asyncio.run(main())


def test_a_task_that_looks_at_itself_sees_its_own_calls() -> None:
    def look() -> list[str]:
        task = asyncio.current_task()
        assert task is not None
        return functions(task)

    async def main() -> list[str]:
        return look()

    # `functions` and its comprehension belong to the look.
    assert [name for name in asyncio.run(main()) if name != "<listcomp>"] == ["functions", "look", "main"]


def test_finished_and_foreign_tasks_stand_nowhere() -> None:
    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(asyncio.sleep(0))
        await task
        return task

    foreign: Any = object()
    assert waiting_frames(asyncio.run(main())) == []
    assert waiting_frames(foreign) == []


def test_a_runaway_chain_ends() -> None:
    class Endless:
        cr_frame = None

        @property
        def cr_await(self) -> Endless:
            return self

    assert await_links(Endless()) == []


def test_a_wrapper_around_nothing_ends_the_chain() -> None:
    assert await_links(type("coroutine_wrapper", (), {})()) == []


def test_a_coroutine_that_just_stopped_running() -> None:
    coroutine = forever()
    assert running_frames(coroutine) == ([(forever.__code__, forever.__code__.co_firstlineno)], None)
    coroutine.close()
    assert running_frames(coroutine) == ([], None)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="asyncio.capture_call_graph is new in 3.14")
def test_agrees_with_the_call_graph_of_asyncio() -> None:
    async def inner() -> None:
        await forever()

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(inner(), name="child")

    async def main() -> None:
        async def gather() -> None:
            await asyncio.gather(single["single"])

        async with started(single=inner()) as single, started(gather=gather(), group=group()):
            everything = asyncio.all_tasks() - {asyncio.current_task()}
            assert len(everything) == 4
            for task in everything:
                graph = asyncio.capture_call_graph(task)  # type: ignore[attr-defined,unused-ignore]
                frames = [(entry.frame.f_code, entry.frame.f_lineno) for entry in graph.call_stack]
                assert waiting_frames(task) == frames
                by_asyncio = [one.future for one in graph.awaited_by]
                if task.get_name() == "single":  # asyncio has the future of the gather in between
                    by_asyncio = [by for by in by_asyncio if isinstance(by, asyncio.Task)]
                assert list(awaiters([task]).values()) == by_asyncio

    asyncio.run(main())


# ------------------------------------------------------------------ who awaits a task


def test_awaiters_by_every_way_to_await() -> None:
    async def main() -> None:
        names = ["await", "gather", "nested", "shield", "wait", "wait_for", "as_completed"]
        child = {name: asyncio.create_task(forever(), name=name) for name in names}

        async def plain() -> None:
            await child["await"]

        async def gather() -> None:
            await asyncio.gather(child["gather"], asyncio.gather(child["nested"]))

        async def shield() -> None:
            await asyncio.shield(child["shield"])

        async def wait() -> None:
            await asyncio.wait([child["wait"]])

        async def wait_for() -> None:
            await asyncio.wait_for(child["wait_for"], 1000)

        async def as_completed() -> None:
            for following in asyncio.as_completed([child["as_completed"]]):
                await following

        async def group() -> None:
            async with asyncio.TaskGroup() as tasks:
                child["child"] = tasks.create_task(forever(), name="child")
                child["lonely"] = asyncio.create_task(forever(), name="lonely")
                await forever()

        async with started(
            of_await=plain(),
            of_gather=gather(),
            of_shield=shield(),
            of_wait=wait(),
            of_wait_for=wait_for(),
            of_as_completed=as_completed(),
            of_child=group(),
        ):
            found = {task.get_name(): by.get_name() for task, by in awaiters(child.values()).items()}
        for task in child.values():
            task.cancel()
        await asyncio.gather(*child.values(), return_exceptions=True)
        assert found == {name: f"of_{name}" for name in [*names, "child"] if name != "nested"} | {
            "nested": "of_gather"
        }

    asyncio.run(main())


def test_callbacks_of_the_user_make_no_awaiter() -> None:
    async def main() -> None:
        async with started(one=forever(), other=forever()) as tasks:
            one, other = tasks["one"], tasks["other"]
            bystander = asyncio.get_running_loop().create_future()

            def end(_: object) -> None:
                bystander.cancel()

            async def waits_for_bystander() -> None:
                await bystander

            async with started(third=waits_for_bystander()):
                one.add_done_callback(other.cancel)
                one.add_done_callback(end)
                assert awaiters([one]) == {}
                one.remove_done_callback(other.cancel)
                one.remove_done_callback(end)

    asyncio.run(main())


def test_awaiters_of_foreign_tasks() -> None:
    class Foreign:
        @property
        def _callbacks(self) -> list[object]:
            raise RuntimeError("changed meanwhile")

    foreign: Any = Foreign()
    assert awaiters([foreign]) == {}


# ------------------------------------------------------------------ what a task waits for


async def wait_condition() -> None:
    condition = asyncio.Condition()
    async with condition:
        await condition.wait_for(lambda: False)


async def wait_barrier() -> None:
    await asyncio.Barrier(3).wait()


async def wait_get() -> None:
    await asyncio.Queue[int]().get()


async def wait_put() -> None:
    queue = asyncio.Queue[int](1)
    queue.put_nowait(1)
    await queue.put(2)


async def wait_join() -> None:
    queue = asyncio.PriorityQueue[int]()
    queue.put_nowait(1)
    queue.put_nowait(2)
    queue.get_nowait()
    await queue.join()


async def wait_future() -> None:
    await asyncio.get_running_loop().create_future()


async def wait_future_in_asyncio() -> None:
    await asyncio.wait_for(asyncio.get_running_loop().create_future(), None)


async def wait_shielded_future() -> None:
    await asyncio.shield(asyncio.get_running_loop().create_future())


async def wait_gathered_futures() -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    done.set_result(None)
    await asyncio.gather(loop.create_future(), done)


async def wait_all() -> None:
    await asyncio.wait([asyncio.get_running_loop().create_future()])


async def wait_as_completed() -> None:
    for following in asyncio.as_completed([asyncio.get_running_loop().create_future()]):
        await following


async def wait_stream() -> None:
    here, there = socket.socketpair()
    with there:
        reader, writer = await asyncio.open_connection(sock=here)
        try:
            await reader.readline()
        finally:
            writer.close()


async def wait_socket() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        await asyncio.get_running_loop().sock_recv(here, 1)


NOBODY = "(no other suspended task refers to it)"


@pytest.mark.parametrize(
    ("waiting", "text"),
    [
        (forever, f"event that is not set {NOBODY}"),
        (wait_condition, f"condition not yet notified {NOBODY}"),
        (wait_barrier, f"barrier: 1 of 3 arrived {NOBODY}"),
        (wait_get, f"queue.get() of an empty queue {NOBODY}"),
        (wait_put, f"queue.put() into a full queue of 1 {NOBODY}"),
        (wait_join, f"queue.join(): 2 task_done() missing, 1 queued {NOBODY}"),
        (wait_future, f"Future {NOBODY}"),
        (wait_future_in_asyncio, f"Future within asyncio (wait_for) {NOBODY}"),
        (wait_shielded_future, "shield of a future"),
        (wait_gathered_futures, "gather of 2 tasks (1 unfinished: a future)"),
        (wait_all, "all of 1 task (1 unfinished: a future)"),
        (wait_as_completed, "as_completed: the next of its tasks"),
        (wait_stream, "stream: no data yet (StreamReader.readline)"),
        (wait_socket, "socket: no data yet (BaseSelectorEventLoop.sock_recv)"),
    ],
)
def test_what_a_task_waits_for(waiting: Waits, text: str) -> None:
    async def main() -> None:
        async with started(it=waiting()) as tasks:
            assert waits(picture(tasks)) == {"it": text}

    asyncio.run(main())


def test_sleep_and_time_outs_in_seconds_from_now() -> None:
    async def nap() -> None:
        async with asyncio.timeout(None), asyncio.timeout(5), asyncio.timeout(7):
            await asyncio.sleep(3.2)

    async def main() -> None:
        asyncio.get_running_loop().time = lambda: 100.0  # type: ignore[method-assign]
        async with started(it=nap()) as tasks:
            assert waits(picture(tasks)) == {"it": "asyncio.sleep until +3.2 s, until the time-out in 5 s"}

    asyncio.run(main())


def test_tasks_that_wait_for_tasks() -> None:
    async def main() -> None:
        async def on(awaitable: Awaitable[object]) -> None:
            await awaitable

        async def group() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(forever(), name="child 2")
                tasks.create_task(forever(), name="child 1")

        async with started(x=forever(), y=forever(), z=forever()) as leaves:
            x, y, z = leaves["x"], leaves["y"], leaves["z"]

            async def as_completed() -> None:
                for following in asyncio.as_completed([z]):
                    await following

            async with started(
                direct=on(x),
                first=on(asyncio.wait([x, y], return_when=asyncio.FIRST_COMPLETED)),
                gather=on(asyncio.gather(y, asyncio.sleep(0), x)),
                group=group(),
                next=as_completed(),
                shield=on(asyncio.shield(y)),
            ) as tasks:
                graph = picture(leaves | tasks)
            await asyncio.gather(x, y, return_exceptions=True)
        assert {one.name: (one.waits_for, one.waits_for_tasks) for one in graph.nodes} == {
            "direct": ("task 'x'", ("x",)),
            "first": ("any of 2 tasks (2 unfinished: 'x', 'y')", ("x", "y")),
            "gather": ("gather of 3 tasks (2 unfinished: 'x', 'y')", ("x", "y")),
            "group": ("TaskGroup (unfinished: 'child 1', 'child 2')", ("child 1", "child 2")),
            "next": ("as_completed: the next of its tasks", ("z",)),
            "shield": ("shield of task 'y'", ("y",)),
            "x": (f"event that is not set {NOBODY}", ()),
            "y": (f"event that is not set {NOBODY}", ()),
            "z": (f"event that is not set {NOBODY}", ()),
        }
        # Of several the first: `gather` and `wait` were called before anything ran.
        assert node(graph, "x").awaited_by == "gather"
        assert graph.cycles == ()

    asyncio.run(main())


def test_wait_for_that_wraps_into_a_task() -> None:
    # The shape of 3.11: a future of its own, and a task next to it.
    source = "async def wait_for(task, loop):\n    waiter = loop.create_future()\n    await waiter\n"
    scope: dict[str, Any] = {}
    exec(compile(source, asyncio.tasks.__file__, "exec"), scope)

    async def main() -> None:
        async with (
            started(inner=forever()) as inner,
            started(it=scope["wait_for"](inner["inner"], asyncio.get_running_loop())) as tasks,
        ):
            assert waits(picture(tasks)) == {"it": "wait_for of task 'inner'"}

    asyncio.run(main())


def test_work_in_a_thread() -> None:
    async def main() -> None:
        ended = threading.Event()
        async with started(it=asyncio.to_thread(ended.wait)) as tasks:
            graph = picture(tasks)
            ended.set()
        assert waits(graph) == {"it": "work in an executor or another thread"}

    asyncio.run(main())


def test_a_future_created_in_debug_mode_names_its_line() -> None:
    async def main() -> None:
        async with started(it=wait_future()) as tasks:
            line = wait_future.__code__.co_firstlineno + 1
            assert waits(picture(tasks)) == {"it": f"Future created at {__file__}:{line} {NOBODY}"}

    asyncio.run(main(), debug=True)


def test_an_operation_of_asyncio_that_looks_different(monkeypatch: pytest.MonkeyPatch) -> None:
    operation = (bytearray, lambda *_: pytest.fail("described something that is not there"))
    monkeypatch.setitem(waiting_for._OPERATIONS, "Event.wait", operation)

    async def main() -> None:
        async with started(it=forever()) as tasks:
            assert waits(picture(tasks)) == {"it": f"Future within asyncio (Event.wait) {NOBODY}"}

    asyncio.run(main())


def test_tasks_that_wait_for_nothing() -> None:
    async def main() -> None:
        async with started(finished=asyncio.sleep(0), cancelled=forever()) as tasks:
            tasks["cancelled"].cancel()
            await turn()
            tasks["ready"] = asyncio.create_task(forever(), name="ready")
            graph = picture(tasks)
        assert waits(graph) == {
            "cancelled": "nothing: cancelled",
            "finished": "nothing: finished",
            "ready": "nothing: ready to run",
        }

    asyncio.run(main())


def test_a_requested_cancellation_is_told() -> None:
    async def stubborn() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        await asyncio.sleep(1000)

    async def main() -> None:
        asyncio.get_running_loop().time = lambda: 0.0  # type: ignore[method-assign]
        async with started(it=stubborn()) as tasks:
            tasks["it"].cancel()
            await turn()
            assert waits(picture(tasks)) == {"it": "asyncio.sleep until +1000 s (cancellation requested)"}

    asyncio.run(main())


# ------------------------------------------------------------------ who holds it


@contextlib.asynccontextmanager
async def locked(lock: asyncio.Lock) -> AsyncIterator[None]:
    async with lock:
        yield


async def hold_directly(lock: asyncio.Lock) -> None:
    async with lock:
        await forever()


async def hold_in_a_context_manager(lock: asyncio.Lock) -> None:
    async with locked(lock):
        await forever()


async def hold_on_a_stack(lock: asyncio.Lock) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(locked(lock))
        await forever()


async def hold_in_a_generator(lock: asyncio.Lock) -> None:
    async def items() -> AsyncIterator[int]:
        async with lock:
            yield 1

    async with contextlib.aclosing(items()) as iterator:  # type: ignore[type-var]
        async for _ in iterator:
            await forever()


async def hold_by_a_condition(lock: asyncio.Lock) -> None:
    async with asyncio.Condition(lock):
        await forever()


async def take(lock: asyncio.Lock) -> None:
    async with lock:
        raise AssertionError("the lock is never free")


@pytest.mark.parametrize(
    "hold",
    [hold_directly, hold_in_a_context_manager, hold_on_a_stack, hold_in_a_generator, hold_by_a_condition],
)
def test_the_holder_of_a_lock(hold: Callable[[asyncio.Lock], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        lock = asyncio.Lock()
        async with started(holder=hold(lock), first=take(lock), second=take(lock)) as tasks:
            graph = picture(tasks)
        assert node(graph, "first").waits_for == "lock held by task 'holder'"
        assert node(graph, "second").waits_for_tasks == ("holder",)
        assert graph.cycles == ()

    asyncio.run(main())


def test_a_lock_taken_without_async_with() -> None:
    async def main() -> None:
        lock = asyncio.Lock()

        async def hold() -> None:
            await lock.acquire()
            await forever()

        async def forget() -> None:
            await lock.acquire()

        async with started(holder=hold(), it=take(lock)) as tasks:
            graph = picture(tasks)
        lock = asyncio.Lock()
        async with started(forgetful=forget(), it=take(lock)) as tasks:
            forgotten = picture(tasks)
        assert node(graph, "it").waits_for == "lock, holder unknown (task 'holder' refers to it)"
        assert node(forgotten, "it").waits_for == f"lock, holder unknown {NOBODY}"

    asyncio.run(main())


def test_the_lock_of_a_condition() -> None:
    async def main() -> None:
        condition = asyncio.Condition()

        async def wait() -> None:
            async with condition:
                await condition.wait()

        async def notify() -> None:
            async with condition:
                condition.notify()
                await forever()

        async with started(waiting=wait()) as waiting:
            assert entered_contexts(waiting["waiting"]) == []
            async with started(holder=notify()) as holder:
                graph = picture(waiting | holder)
                assert node(graph, "waiting").waits_for == "lock held by task 'holder'"

    asyncio.run(main())


def test_a_semaphore_with_several_holders_is_no_cycle() -> None:
    async def main() -> None:
        semaphore = asyncio.Semaphore(2)
        everyone_waits = asyncio.Event()
        third: list[asyncio.Task[Any]] = []

        async def hold() -> None:
            async with semaphore:
                await forever()

        async def hold_and_wait() -> None:
            async with semaphore:
                await everyone_waits.wait()
                await third[0]

        async def wait() -> None:
            async with semaphore:
                raise AssertionError("no place is free")

        async with started(a=hold(), b=hold_and_wait(), c=wait()) as tasks:
            third.append(tasks["c"])
            everyone_waits.set()
            await turn()
            graph = picture(tasks)
        assert waits(graph) == {
            "a": f"event that is not set {NOBODY}",
            "b": "task 'c'",
            "c": "semaphore held by tasks 'a', 'b'",
        }
        assert graph.cycles == ()

    asyncio.run(main())


def test_those_who_could_act_are_named() -> None:
    class Service:
        def __init__(self) -> None:
            self.queues = [asyncio.Queue[int]()]

        async def consume(self) -> None:
            await self.queues[0].get()

        async def produce(self) -> None:
            await forever()

    async def main() -> None:
        service = Service()
        async with started(
            consumer=service.consume(), rival=service.consume(), p=service.produce(), q=service.produce()
        ) as tasks:
            graph = picture(tasks)
        assert node(graph, "consumer").waits_for == (
            "queue.get() of an empty queue (tasks 'p', 'q' refer to it)"
        )

    asyncio.run(main())


def test_the_search_is_bounded() -> None:
    async def hoard(lock: asyncio.Lock) -> None:
        much = [[number] for number in range(5000)]
        await forever()
        much.append([id(lock)])

    async def main() -> None:
        lock, far = asyncio.Lock(), [[[[[[[asyncio.Lock()]]]]]]]

        async def keep_far() -> None:
            await forever()
            far.clear()

        async with started(hoard=hoard(lock), far=keep_far()) as tasks:
            assert reachable(tasks["hoard"], {id(lock)}) == {id(lock)}
            assert reachable(tasks["far"], {id(far[0][0][0][0][0][0][0])}) == set()

    asyncio.run(main())


class Condition:
    """A condition of another library, which has the names of asyncio's."""

    async def wait(self) -> None:
        await forever()


def test_a_condition_of_another_library_releases_nothing() -> None:
    async def main() -> None:
        lock = asyncio.Lock()

        async def wait() -> None:
            async with lock:
                await Condition().wait()

        async with started(it=wait()) as tasks:
            assert entered_contexts(tasks["it"]) == [lock]

    asyncio.run(main())


def test_both_shapes_of_an_exit_on_the_stack() -> None:
    lock = asyncio.Lock()
    until_3_13: list[object] = [lock, lock.__aexit__, None]
    from_3_14: list[object] = [lock, asyncio.Lock.__aexit__, lock, None]
    assert holders._exits(until_3_13, set()) == [lock]
    assert holders._exits(from_3_14, set()) == [lock]
    assert holders._exits([asyncio.Lock.__aexit__], set()) == []


# ------------------------------------------------------------------ cycles


def test_a_task_that_takes_its_own_lock_twice() -> None:
    async def twice() -> None:
        lock = asyncio.Lock()
        async with lock:
            await take(lock)

    async def main() -> None:
        async with started(it=twice()) as tasks:
            graph = picture(tasks)
        assert waits(graph) == {"it": "lock held by this task itself"}
        assert graph.cycles == (("it",),)
        assert "cycle: 'it' -> 'it'" in graph.render()

    asyncio.run(main())


def test_two_tasks_that_await_each_other() -> None:
    async def main() -> None:
        tasks: dict[str, asyncio.Task[Any]] = {}

        async def on(name: str) -> None:
            await tasks[name]

        tasks["a"] = asyncio.create_task(on("b"), name="a")
        tasks["b"] = asyncio.create_task(on("a"), name="b")
        await turn()
        graph = picture(tasks)
        # Plain `cancel()` would recurse without end: wake one of them by hand.
        cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        asyncio.get_running_loop().call_soon(asyncio_internals.callbacks_of(tasks["a"])[0], cancelled)
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        assert waits(graph) == {"a": "task 'b'", "b": "task 'a'"}
        assert graph.cycles == (("a", "b"),)

    asyncio.run(main())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=7, max_size=7))
def test_cycles_are_those_of_the_locks(takes: list[int]) -> None:
    """Task i holds lock i and waits for lock takes[i]: the cycles are those of the function `takes`."""
    expected = set()
    for start in range(7):
        path = [start]
        while takes[path[-1]] not in path:
            path.append(takes[path[-1]])
        expected.add(frozenset(f"task {i}" for i in path[path.index(takes[path[-1]]) :]))

    async def main() -> AwaitGraph:
        locks = [asyncio.Lock() for _ in takes]
        everyone_holds = asyncio.Event()

        async def hold(own: int) -> None:
            async with locks[own]:
                await everyone_holds.wait()
                await take(locks[takes[own]])

        tasks = {f"task {own}": asyncio.create_task(hold(own), name=f"task {own}") for own in range(7)}
        await turn()
        everyone_holds.set()
        await turn()
        graph = picture(tasks)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        return graph

    graph = asyncio.run(main())
    assert {frozenset(cycle) for cycle in graph.cycles} == expected
    assert len(graph.cycles) == len(expected)


# ------------------------------------------------------------------ the text


def test_the_text() -> None:
    position = Position(__file__, 7, "read", "await reader.read()")
    no_source = Position("<string>", 1, "run", "")
    graph = AwaitGraph(
        (
            AwaitNode("a", "test_x", "read", (position, no_source), "stream: no data yet", (), "b"),
            AwaitNode("b", None, "main", (), "task 'a'", ("a",)),
        ),
        (),
    )
    assert graph.render().splitlines() == [
        "2 tasks",
        "  task 'a' [test_x] (read) waits for stream: no data yet",
        "    awaited by task 'b'",
        f"    at {position}",
        "    at <string>:1 in run",
        "  task 'b' (main) waits for task 'a'",
    ]
    assert str(position).endswith("test_await_graph.py:7 in read: await reader.read()")
    assert AwaitGraph((), ()).render() == "no tasks"


def test_of_many_tasks_those_of_cycles_are_shown_first() -> None:
    nodes = tuple(AwaitNode(name, None, "f", (), "something") for name in "abcd")
    lines = AwaitGraph(nodes, (("c",),)).render(limit=2).splitlines()
    assert [line.split()[1] for line in lines[1:3]] == ["'c'", "'a'"]
    assert lines[3:] == ["  and 2 more", "  cycle: 'c' -> 'c'"]


def test_one_picture_of_a_loop() -> None:
    def label(task: asyncio.Task[Any]) -> str | None:
        if task.get_name() == "bad":
            raise LookupError
        return f"owner of {task.get_name()}"

    async def main() -> None:
        async with started(bad=forever(), good=forever()):
            graph = capture_await_graph(asyncio.get_running_loop(), label=label)
        assert [one.label for one in graph.nodes if one.name in {"bad", "good"}] == [None, "owner of good"]
        good = node(graph, "good")
        assert good.coroutine == "forever"
        assert good.stands_at[-1] == Position(
            __file__, forever.__code__.co_firstlineno + 1, "forever", "await asyncio.Event().wait()"
        )

    asyncio.run(main())


def test_beyond_two_hundred_tasks_nobody_is_searched() -> None:
    async def main() -> None:
        tasks = {str(number): asyncio.create_task(forever()) for number in range(201)}
        await turn()
        graph = picture(tasks)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        assert {one.waits_for for one in graph.nodes} == {"event that is not set"}
        assert graph.render().splitlines()[-1] == "  and 151 more"

    asyncio.run(main())


# ------------------------------------------------------------------ another thread


def test_a_loop_that_is_blocked_is_seen_from_another_thread() -> None:
    entered, ended = threading.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def block() -> None:
        entered.set()
        ended.wait(30)

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        async with started(waiting=forever(), blocking=block()):
            pass

    thread = threading.Thread(target=asyncio.run, args=(main(),), name="loop's own")
    thread.start()
    try:
        assert entered.wait(30)
        graph = capture_await_graph(loops[0])
    finally:
        ended.set()
        thread.join()
    blocking = node(graph, "blocking")
    assert blocking.waits_for == 'nothing: running in thread "loop\'s own"'
    assert [one.function.rpartition(".")[2] for one in blocking.stands_at][-2:] == ["wait", "block"]
    assert blocking.stands_at[-1].source == "ended.wait(30)"
    assert node(graph, "waiting").waits_for == f"event that is not set {NOBODY}"


def test_pictures_of_a_loop_that_runs_on() -> None:
    begun, ended = threading.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def churn(lock: asyncio.Lock) -> None:
        async with lock:
            await asyncio.sleep(0)

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        lock = asyncio.Lock()
        begun.set()
        while not ended.is_set():
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(churn(lock))

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        assert begun.wait(30)
        pictures = [capture_await_graph(loops[0]).render() for _ in range(200)]
        while not any("churn" in text for text in pictures[-50:]):
            pictures.append(capture_await_graph(loops[0]).render())
    finally:
        sys.setswitchinterval(interval)
        ended.set()
        thread.join()
    assert all(isinstance(text, str) for text in pictures)


def test_tasks_that_answer_nothing() -> None:
    foreign: Any = object()
    loop = asyncio.new_event_loop()
    graph = capture_await_graph(loop, tasks=[foreign])
    loop.close()
    assert graph.nodes == (AwaitNode("unnamed", None, "unknown coroutine", (), "something unknown"),)


def test_a_set_of_tasks_that_keeps_changing(monkeypatch: pytest.MonkeyPatch) -> None:
    def changing(_: object) -> set[asyncio.Task[Any]]:
        raise RuntimeError("Set changed size during iteration")

    monkeypatch.setattr(asyncio, "all_tasks", changing)
    loop = asyncio.new_event_loop()
    assert capture_await_graph(loop) == AwaitGraph((), ())
    loop.close()
