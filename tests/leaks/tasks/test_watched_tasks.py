from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.tasks.watched_tasks import WatchedTask
from tests.leaks.examples import nothing

since_312 = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")


async def forever() -> None:
    await asyncio.Event().wait()


def make_here() -> Any:
    return asyncio.create_task(forever())  # INNER


def test_a_watched_task_looks_like_asyncios_own(bench: Any) -> None:
    async def test() -> None:
        task, own = asyncio.create_task(nothing(), name="job"), asyncio.Task(nothing(), name="job")
        assert isinstance(task, WatchedTask)
        assert isinstance(task, asyncio.Task)
        assert type(own) is asyncio.Task
        assert repr(task).partition(" coro")[0] == repr(own).partition(" coro")[0]
        assert (type(task).__module__, type(task).__qualname__) == ("_asyncio", "Task")
        assert inspect.getdoc(task.cancel) == inspect.getdoc(own.cancel)
        task.application_data = 1  # type: ignore[attr-defined]
        await asyncio.wait([task, own])
        assert task.get_name() == "job"

    assert bench.run_test(test) == []


def test_a_cancelled_task_takes_its_message_along(bench: Any) -> None:
    async def test() -> None:
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        assert task.cancel(msg="enough")
        assert task.cancelling() == 1
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        assert not task.cancel()

    assert bench.run_test(test) == []


def test_a_cancelled_task_goes_with_its_last_reference(bench: Any) -> None:
    async def test() -> None:
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        gone = weakref.ref(task)
        await asyncio.sleep(0)
        gc.disable()
        try:
            del task
            assert gone() is None
        finally:
            gc.enable()

    assert bench.run_test(test) == []


def test_three_frames_are_recorded(bench: Any, line_of: Any) -> None:
    async def test() -> None:
        def helper() -> Any:
            return make_here()

        helper()
        await asyncio.sleep(0)

    (finding,) = bench.run_test(test)
    assert [frame.function.rpartition(".")[2] for frame in finding.created] == ["make_here", "helper", "test"]
    assert finding.created[0].line == line_of(make_here, "INNER")


@pytest.mark.parametrize(
    "make",
    [
        lambda loop: loop.create_task(forever()),
        lambda loop: asyncio.ensure_future(forever()),
        lambda loop: loop.create_task(forever(), context=contextvars.copy_context()),
    ],
)
def test_each_way_to_make_a_task_names_its_line(bench: Any, make: Any) -> None:
    async def test() -> None:
        make(asyncio.get_running_loop())
        await asyncio.sleep(0)

    (finding,) = bench.run_test(test)
    assert [Path(frame.file).name for frame in finding.created] == [Path(__file__).name] * 2
    assert "forever()" in finding.created[0].code


def test_the_owner_of_a_given_context_is_the_tasks(bench: Any) -> None:
    owner = Owner("fixture", "hub", "session", ended=True)

    async def test() -> None:
        context = contextvars.copy_context()
        context.run(OWNER.set, owner)
        asyncio.create_task(forever(), context=context)
        asyncio.create_task(forever(), context=contextvars.Context())
        await asyncio.sleep(0)

    assert sorted(finding.owner.name for finding in bench.run_test(test)) == ["hub", "test"]


def test_a_factory_of_the_user_makes_what_it_wants(bench: Any) -> None:
    class Mine(asyncio.Task[Any]): ...

    given: list[dict[str, Any]] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> Any:
        given.append(kwargs)
        return Mine(coro, loop=loop, **kwargs)

    async def test() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        task = loop.create_task(nothing(), name="job")
        await task
        loop.set_task_factory(None)
        assert type(task) is Mine
        assert task.get_name() == "job"
        assert "context" not in given[0]

    assert bench.run_test(test) == []


@since_312
def test_an_eager_task_is_watched_too(bench: Any) -> None:
    async def swallow() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            return

    async def test() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
        done = asyncio.create_task(nothing(), name="at once")
        assert done.done()
        assert done.get_name() == "at once"
        task = asyncio.create_task(swallow())
        task.cancel()
        await task

    (finding,) = bench.run_test(test)
    assert (finding.rule, finding.created[0].code) == ("UNO103", "task = asyncio.create_task(swallow())")


@pytest.mark.skipif(sys.version_info < (3, 14), reason="create_task takes more since 3.14")
def test_further_arguments_go_to_the_task(bench: Any) -> None:
    async def test() -> None:
        task = asyncio.create_task(nothing(), eager_start=True)  # type: ignore[call-arg, unused-ignore]
        assert task.done()

    assert bench.run_test(test) == []


def test_unknown_arguments_are_refused(bench: Any) -> None:
    async def test() -> None:
        coro = nothing()
        with pytest.raises(TypeError):
            asyncio.get_running_loop().create_task(coro, nonsense=1)  # type: ignore[call-arg, unused-ignore]
        coro.close()

    assert bench.run_test(test) == []


def test_a_closed_loop_makes_no_task(bench: Any) -> None:
    loop = asyncio.new_event_loop()
    bench.detection.watch_loop(loop)
    loop.close()
    coro = nothing()
    with pytest.raises(RuntimeError, match="closed"):
        loop.create_task(coro)
    coro.close()
    bench.detection.unwatch_loop(loop)
    assert bench.detection.drain() == []


def test_debug_mode_shows_the_users_line_last(bench: Any) -> None:
    async def test() -> None:
        task = asyncio.get_running_loop().create_task(nothing())
        (*_, last) = task._source_traceback  # type: ignore[attr-defined]
        assert last.filename == __file__
        await task

    bench.loop.set_debug(True)
    assert bench.run_test(test) == []
