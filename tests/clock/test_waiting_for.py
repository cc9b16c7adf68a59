"""What a task waits for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable
from typing import Any

import pytest

from pytest_uno.clock import waiting_for
from tests.clock.started_tasks import NOBODY, Waits, forever, node, picture, started, turn, waits


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
