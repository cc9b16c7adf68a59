"""Pictures of the tasks of a loop: cycles, the text, and pictures from another thread."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_uno.clock import asyncio_internals
from pytest_uno.clock.await_graph import AwaitGraph, AwaitNode, Position, capture_await_graph
from tests.clock.started_tasks import NOBODY, forever, node, picture, started, take, turn, waits

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
            forever.__code__.co_filename,
            forever.__code__.co_firstlineno + 1,
            "forever",
            "await asyncio.Event().wait()",
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
