from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from pytest_uno.leaks.detection import LeakDetection
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.tasks import task_births
from pytest_uno.leaks.tasks.task_births import TaskBirths, TaskWatch
from tests.leaks.examples import nothing

ROOT = Path(__file__).parents[3]


async def forever() -> None:
    await asyncio.Event().wait()


class Bare(asyncio.Task):  # type: ignore[type-arg]
    """A task that takes no attributes of others."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_pytest_uno_birth":
            raise AttributeError(name)
        super().__setattr__(name, value)


def test_the_loop_gets_its_own_method_back(bench: Any) -> None:
    loop = asyncio.new_event_loop()
    before = loop.create_task
    bench.detection.watch_loop(loop)
    bench.detection.watch_loop(loop)
    assert loop.create_task != before
    bench.detection.unwatch_loop(loop)
    bench.detection.unwatch_loop(loop)
    assert loop.create_task == before
    assert "create_task" not in vars(loop)
    loop.close()


def test_a_create_task_that_somebody_has_set_stays() -> None:
    loop = asyncio.new_event_loop()
    sites = Sites(ROOT)
    ours = loop.create_task
    loop.create_task = lambda coro, **kwargs: ours(coro, **kwargs)  # type: ignore[method-assign]
    theirs = loop.create_task
    watch = TaskWatch(loop, sites, TaskBirths(sites))
    over = lambda coro, **kwargs: ours(coro, **kwargs)  # noqa: E731
    installed = loop.create_task
    loop.create_task = over  # type: ignore[method-assign]
    watch.remove()
    assert loop.create_task is over
    loop.create_task = installed  # type: ignore[method-assign, assignment]
    watch.remove()
    assert loop.create_task is theirs
    loop.close()


def test_a_task_without_attributes_is_known_all_the_same(bench: Any) -> None:
    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> Any:
        return Bare(coro, loop=loop, **kwargs)

    bench.loop.set_task_factory(factory)
    fixture = Owner("fixture", "hub", "session")
    kept: list[Any] = []

    async def test() -> None:
        kept.append(asyncio.create_task(forever()))
        await asyncio.sleep(0)

    bench.detection.retain(fixture, kept)
    assert bench.run_test(test, loop_ends=False) == []
    bench.detection.release(fixture)
    fixture.ended = True
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=fixture)
    assert (finding.owner.name, finding.created[0].code) == (
        "hub",
        "kept.append(asyncio.create_task(forever()))",
    )


def test_a_task_made_without_the_loops_help(bench: Any) -> None:
    async def test() -> None:
        kept.append(asyncio.Task(forever()))
        await asyncio.sleep(0)

    kept: list[Any] = []
    findings = bench.run_test(test)
    assert [finding.created[0].code for finding in findings] == ["kept.append(asyncio.Task(forever()))"]
    assert findings[0].owner.name == "test"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 keeps the context to itself")
def test_a_task_made_without_the_loops_help_has_the_owner_of_its_context(bench: Any) -> None:
    async def test() -> None:
        kept.append(asyncio.Task(forever()))
        await asyncio.sleep(0)

    kept: list[Any] = []
    (finding,) = bench.run_test(test, loop_ends=False)
    assert finding.owner.name == "test"


def library(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(source, "/x/site-packages/lib.py", "exec"), names)
    return names


SPAWN = """
import asyncio
async def forever(): await asyncio.Event().wait()
async def spawn():
    asyncio.get_running_loop().create_task(forever())
    await asyncio.sleep(0)
"""


def test_a_child_that_a_library_makes_is_blamed_on_the_line_that_made_its_parent(bench: Any) -> None:
    spawn = library(SPAWN)["spawn"]

    async def test() -> None:
        await asyncio.create_task(spawn())

    (finding,) = bench.run_test(test)
    assert finding.created[0].code == "await asyncio.create_task(spawn())"


def test_a_task_that_a_library_makes_alone_is_blamed_on_the_library(bench: Any) -> None:
    names = library(SPAWN)

    async def test() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(names["start"], names["forever"]())
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    exec(
        compile(
            "def start(coro): asyncio.get_running_loop().create_task(coro)", "/x/site-packages/l.py", "exec"
        ),
        names,
    )
    (finding,) = bench.run_test(test)
    # The coroutine's origin is the user's line: better than the library's own.
    assert finding.created[0].code.startswith("loop.call_soon")
    sys.set_coroutine_origin_tracking_depth(0)
    try:
        (finding,) = bench.run_test(test)
    finally:
        sys.set_coroutine_origin_tracking_depth(1)
    assert (finding.created[0].file, finding.created[0].function) == ("/x/site-packages/l.py", "start")


def test_a_task_without_any_trace_is_blamed_on_its_definition(bench: Any) -> None:
    sites = Sites(ROOT)
    births = TaskBirths(sites)

    async def main() -> None:
        depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(0)
        task = asyncio.Task(nothing())
        sys.set_coroutine_origin_tracking_depth(depth)
        assert [frame.function for frame in births.created(task)] == ["nothing"]
        generator = asyncio.Task(odd())
        assert births.created(generator) == ()
        births.adopt(task, Owner("test", "adopted"))
        owner = births.owner(task)
        assert owner is not None
        assert owner.name == "adopted"
        await task
        await generator

    asyncio.run(main())


async def boom() -> None:
    raise RuntimeError("boom")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
@pytest.mark.parametrize("is_kept", [True, False])
def test_a_task_that_fails_by_its_eager_start_is_named(bench: Any, is_kept: bool) -> None:
    bench.loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
    kept: list[Any] = []

    async def test() -> None:
        task = asyncio.create_task(boom())
        assert task.done()
        if is_kept:
            kept.append(task)

    (finding,) = bench.run_test(test)
    assert finding.subject == "task running boom() failed with RuntimeError and nobody looked"
    assert (finding.target, finding.owner.name) == ("boom", "test")
    assert finding.created[0].code == "task = asyncio.create_task(boom())"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_an_eager_task_of_unknown_birth_is_described() -> None:
    births = TaskBirths(Sites(ROOT))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        factory = asyncio.eager_task_factory  # type: ignore[attr-defined, unused-ignore]
        task = factory(loop, nothing())
        assert births.describe(task) == "task running NoneType()"
        assert births.created(task) == ()
        await task

    asyncio.run(main())


def test_a_coroutine_that_a_living_fixture_holds_outlives_the_leaked_task_that_holds_it(bench: Any) -> None:
    jobs = [nothing()]
    bench.detection.retain(Owner("fixture", "hub", "session"), jobs)

    async def worker(jobs: list[Any]) -> None:
        await asyncio.sleep(100)

    async def test() -> None:
        jobs.append(nothing())
        asyncio.create_task(worker(jobs))
        await asyncio.sleep(0)

    assert [finding.rule for finding in bench.run_test(test)] == ["UNO101"]
    for job in jobs:
        bench.loop.run_until_complete(job)


def test_a_task_that_a_bare_thread_makes_is_the_tests(bench: Any) -> None:
    fixture = Owner("fixture", "hub", "session")

    async def test() -> None:
        thread = threading.Thread(
            target=asyncio.run_coroutine_threadsafe, args=(asyncio.sleep(100), asyncio.get_running_loop())
        )
        thread.start()
        thread.join()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert [finding.owner.name for finding in bench.run_test(test, loop_ends=False)] == ["test"]
    assert bench.detection.judge_loop(bench.loop, default_owner=fixture) == []


class Odd:
    """A coroutine that is none of the interpreter's, as Cython makes them."""

    def send(self, value: object) -> None:
        raise StopIteration

    def throw(self, *args: Any) -> None: ...
    def close(self) -> None: ...
    def __await__(self) -> Any:
        yield


def odd() -> Any:
    from collections.abc import Coroutine

    Coroutine.register(Odd)
    return Odd()


def test_dead_tasks_are_forgotten(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_births, "_COMPACT_AT", 10)
    loop = asyncio.new_event_loop()
    sites = Sites(ROOT)
    watch = TaskWatch(loop, sites, TaskBirths(sites))

    async def main() -> None:
        for _ in range(100):
            await asyncio.create_task(nothing())
        assert len(watch.tasks) <= 11
        kept = [asyncio.create_task(nothing()) for _ in range(30)]
        await asyncio.wait(kept)
        assert {ref() for ref in watch.tasks} >= set(kept)

    loop.run_until_complete(main())
    watch.remove()
    loop.close()
    gc.collect()
    assert watch.compact() == 10
    assert watch.tasks == []


def test_the_owner_of_the_creating_context_is_recorded() -> None:
    sites = Sites(ROOT)
    births = TaskBirths(sites)
    owner = Owner("test", "test_x")

    async def main() -> None:
        watch = TaskWatch(asyncio.get_running_loop(), sites, births)
        token = OWNER.set(owner)
        task = asyncio.create_task(nothing())
        OWNER.reset(token)
        assert births.owner(task) is owner
        assert births.owner(asyncio.create_task(nothing())) is None
        await task
        watch.remove()

    asyncio.run(main())
    assert weakref.ref(owner)() is owner


def test_a_loop_goes_with_its_test(tmp_path: Path) -> None:
    """Without the help of the garbage collector: a loop for each test would pile up until it comes."""
    detection = LeakDetection(root=tmp_path)
    detection.install()
    try:
        loop = asyncio.new_event_loop()
        detection.watch_loop(loop)
        owner = Owner("test", "test_x")
        snapshot = detection.snapshot(owner)
        loop.run_until_complete(loop.create_task(asyncio.sleep(0)))
        owner.ended = True
        assert detection.compare(snapshot, loop, loop_ends=True) == []
        detection.unwatch_loop(loop)
        loop.close()
        gone = weakref.ref(loop)
        gc.disable()
        del loop
        assert gone() is None
    finally:
        gc.enable()
        detection.remove()


def test_dead_tasks_of_a_factory_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_births, "_COMPACT_AT", 10)
    loop = asyncio.new_event_loop()
    loop.set_task_factory(lambda loop, coro, **kwargs: asyncio.Task(coro, loop=loop, **kwargs))
    sites = Sites(ROOT)
    watch = TaskWatch(loop, sites, TaskBirths(sites))

    async def main() -> None:
        for _ in range(100):
            await asyncio.create_task(nothing())
        assert len(watch.tasks) <= 11

    loop.run_until_complete(main())
    watch.remove()
    loop.close()


def test_a_task_of_an_empty_context_and_a_factory_is_the_current_tests(bench: Any) -> None:
    bench.loop.set_task_factory(lambda loop, coro, **kwargs: asyncio.Task(coro, loop=loop, **kwargs))
    kept: list[Any] = []

    async def test() -> None:
        kept.append(asyncio.get_running_loop().create_task(forever(), context=contextvars.Context()))
        await asyncio.sleep(0)

    (finding,) = bench.run_test(test, loop_ends=False)
    assert (finding.rule, finding.owner.name) == ("UNO101", "test")
