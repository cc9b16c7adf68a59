from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import inspect
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.from_thread
import pytest

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.leaks.detection import LeakDetection
from pytest_uno.leaks.loops.event_loops import EventLoops
from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import LineOf, Test, listed_in, nothing, on_both_loops

LEAKY: list[Any] = []
CLEAN: list[Any] = []
KEPT: list[Any] = []
POOL = concurrent.futures.ThreadPoolExecutor(1)

leaks = listed_in(LEAKY)
clean = listed_in(CLEAN)


@pytest.fixture(scope="module", autouse=True)
def pool() -> Iterator[None]:
    yield
    POOL.shutdown()


def _ignore(*args: object) -> None: ...


async def forever() -> None:
    await asyncio.sleep(3600)


async def run_in_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    await asyncio.get_running_loop().run_in_executor(POOL, thread.join)


@leaks
async def kept() -> None:
    KEPT.append(asyncio.new_event_loop())  # LEAK


@leaks
async def dropped() -> None:
    asyncio.new_event_loop()  # LEAK


@leaks
async def dropped_and_collected() -> None:
    asyncio.new_event_loop()  # LEAK
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@leaks
async def of_a_class() -> None:
    KEPT.append(asyncio.SelectorEventLoop())  # LEAK


@leaks
async def virtual() -> None:
    KEPT.append(VirtualEventLoop())  # LEAK


@leaks
async def of_a_runner() -> None:
    KEPT.append(asyncio.Runner())
    KEPT[-1].get_loop()  # LEAK


@leaks
async def in_a_helper_thread() -> None:
    def work() -> None:
        asyncio.new_event_loop().run_until_complete(nothing())  # LEAK

    await run_in_thread(work)


@leaks
async def in_a_worker_that_goes_on() -> None:
    def work() -> None:
        asyncio.new_event_loop().run_until_complete(nothing())  # LEAK

    await asyncio.to_thread(work)


@leaks
async def with_tasks_on_it() -> None:
    def work() -> None:
        loop = asyncio.new_event_loop()  # LEAK
        KEPT.append(loop)
        KEPT.append(loop.create_task(forever()))
        loop.run_until_complete(nothing())

    await run_in_thread(work)


@clean
async def closed() -> None:
    asyncio.new_event_loop().close()
    loop = VirtualEventLoop()
    KEPT.append(loop)
    loop.close()


@clean
async def closed_and_collected() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    del loop
    gc.collect()


@clean
async def run_nested_in_a_thread() -> None:
    await asyncio.to_thread(asyncio.run, nothing())
    await run_in_thread(lambda: asyncio.run(nothing()))


@clean
async def closed_by_a_helper_thread() -> None:
    def work() -> None:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(nothing())
        finally:
            loop.close()

    await run_in_thread(work)


@clean
async def run_in_a_thread_that_ends_in_a_moment() -> None:
    started = threading.Event()

    async def job() -> None:
        started.set()
        await asyncio.sleep(0.002)

    threading.Thread(target=lambda: asyncio.run(job())).start()
    await asyncio.get_running_loop().run_in_executor(POOL, started.wait)


@clean
async def portal_of_anyio() -> None:
    def work() -> None:
        with anyio.from_thread.start_blocking_portal() as portal:
            portal.call(nothing)

    await asyncio.to_thread(work)


@on_both_loops
@pytest.mark.parametrize("test", LEAKY)
def test_a_leak_is_reported_once(bench: Any, test: Test, line_of: LineOf) -> None:
    (finding,) = bench.run_test(test, loop_ends=False)
    assert (finding.rule, finding.subject) == ("UNO205", "event loop was not closed")
    assert finding.created[0].line == line_of(test, "# LEAK")
    assert all(thing.is_closed() for thing in KEPT if isinstance(thing, asyncio.AbstractEventLoop))
    KEPT.clear()
    gc.collect()  # what was reported is closed: no warning of it comes up later
    assert bench.run_test(nothing) == []


@on_both_loops
@pytest.mark.parametrize("test", CLEAN)
def test_a_look_alike_is_silent(bench: Any, test: Test) -> None:
    assert bench.run_test(test) == []
    KEPT.clear()


def test_the_tasks_of_a_reported_loop_end_with_it(bench: Any) -> None:
    assert len(bench.run_test(with_tasks_on_it)) == 1
    task = KEPT.pop()
    assert task.cancelled()
    KEPT.clear()


def test_a_loop_that_a_thread_of_a_library_drops_is_the_librarys(bench: Any) -> None:
    begin = threading.Event()
    names: dict[str, Any] = {"wait": begin.wait, "make": asyncio.new_event_loop}
    exec(compile("def work(): wait(), make()", "/x/site-packages/lib.py", "exec"), names)
    thread = threading.Thread(target=names["work"])
    thread.start()

    async def test() -> None:
        begin.set()
        thread.join()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    assert bench.run_test(test) == []


def test_a_loop_that_a_task_of_another_closes_at_its_end_is_reported_all_the_same(bench: Any) -> None:
    async def test() -> None:
        first, second = asyncio.new_event_loop(), asyncio.new_event_loop()

        async def close_at_the_end() -> None:
            try:
                await forever()
            finally:
                second.close()

        KEPT.extend([second, first.create_task(close_at_the_end())])
        await run_in_thread(lambda: first.run_until_complete(nothing()))

    assert [finding.rule for finding in bench.run_test(test)] == ["UNO205"] * 2
    assert KEPT[0].is_closed()
    KEPT.clear()


def test_a_loop_that_a_thread_runs_on_is_the_threads(bench: Any) -> None:
    loop_of_thread: list[asyncio.AbstractEventLoop] = []
    started = threading.Event()

    def work() -> None:
        loop = asyncio.new_event_loop()
        loop_of_thread.append(loop)
        loop.call_soon(started.set)
        loop.run_forever()
        loop.close()

    thread = threading.Thread(target=work)

    async def test() -> None:
        thread.start()
        await asyncio.get_running_loop().run_in_executor(POOL, started.wait)

    try:
        assert [finding.rule for finding in bench.run_test(test, loop_ends=False)] == ["UNO407"]
    finally:
        loop_of_thread[0].call_soon_threadsafe(loop_of_thread[0].stop)
        thread.join()
    assert bench.run_test(nothing) == []


def test_a_loop_that_a_wider_fixture_holds_is_the_fixtures(bench: Any) -> None:
    hub: list[Any] = []
    fixture = Owner("fixture", "hub", "session")
    bench.detection.retain(fixture, hub)

    async def test() -> None:
        hub.append(asyncio.new_event_loop())

    assert bench.run_test(test, loop_ends=False) == []
    assert bench.run_test(nothing, loop_ends=False) == []
    assert not hub[0].is_closed()
    fixture.ended = True
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert (finding.rule, finding.owner.name) == ("UNO205", "hub")


def test_the_loop_of_a_wider_fixture_survives_the_end_of_another_loop(bench: Any) -> None:
    fixture = Owner("fixture", "hub", "session")
    bench.run_as(fixture, kept)
    assert bench.run_test(nothing, loop_ends=False) == []
    assert bench.detection.judge_loop(bench.loop, default_owner=Owner("session", "")) == []
    assert not KEPT[0].is_closed()
    fixture.ended = True
    (finding,) = bench.run_test(nothing)
    assert (finding.rule, finding.owner.name) == ("UNO205", "hub")
    KEPT.clear()


def test_a_loop_of_the_harness_is_nobodys(bench: Any) -> None:
    async def test() -> None:
        KEPT.append(asyncio.new_event_loop())
        bench.detection.watch_loop(KEPT[-1])

    assert bench.run_test(test) == []
    bench.detection.unwatch_loop(KEPT[-1])
    KEPT.pop().close()


def test_the_sockets_of_an_open_loop_are_a_part_of_it(bench: Any) -> None:
    explained: set[int] = set()

    class Looks:
        def compare(self, judgement: Any) -> list[Any]:
            explained.update(judgement.explained)
            return []

        def __getattr__(self, name: str) -> Any:
            return _ignore

    bench.detection._detectors = (*bench.detection._detectors, Looks())
    sockets: list[Any] = []

    async def test() -> None:
        loop: Any = asyncio.new_event_loop()
        sockets.extend([loop, loop._ssock, loop._csock])

    assert len(bench.run_test(test)) == 1
    assert {id(sock) for sock in sockets[1:]} <= explained


def test_a_class_that_closes_by_itself_is_asked(bench: Any) -> None:
    class Own(asyncio.SelectorEventLoop):
        is_done = False

        def is_closed(self) -> bool:
            return self.is_done or super().is_closed()

    async def test() -> None:
        KEPT.append(Own())
        KEPT[-1].is_done = True

    assert bench.run_test(test) == []
    KEPT[-1].is_done = False
    KEPT.pop().close()


@pytest.mark.parametrize("name", ["__init__", "close"])
def test_a_patched_method_looks_as_before(bench: Any, name: str) -> None:
    def shape() -> tuple[Any, ...]:
        method = getattr(asyncio.BaseEventLoop, name)
        return method.__name__, method.__doc__, inspect.signature(method)

    patched = shape()
    bench.detection.remove()
    assert patched == shape()


def test_a_thread_that_is_about_to_run_a_loop_is_at_work() -> None:
    detection = LeakDetection(root=Path(__file__).parents[3])
    detector = next(each for each in detection._further if isinstance(each, EventLoops))
    loop = asyncio.SelectorEventLoop()
    begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    detector._threads[loop] = thread
    assert detector._is_at_work(loop)
    may_end.set()
    thread.join()
    assert not detector._is_at_work(loop)
    loop.close()
