from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.leaks.tasks import task_internals
from pytest_uno.leaks.tasks.task_internals import (
    has_failed,
    is_cancelled_by_error,
    is_method_of_class,
    makes_tasks_itself,
    must_cancel,
    raced_by_wait_for,
    waited_for,
)
from tests.leaks.examples import nothing


async def fail() -> None:
    raise LookupError


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, VirtualEventLoop])
def test_what_a_loop_keeps_can_be_read(make_loop: Any) -> None:
    loop = make_loop()
    assert (loop._closed, loop._task_factory) == (False, None)
    for is_on in (True, False):
        loop.set_debug(is_on)
        assert loop._debug is is_on
    factory: Any = lambda loop, coro, **kwargs: asyncio.Task(coro, loop=loop, **kwargs)  # noqa: E731
    loop.set_task_factory(factory)
    assert loop._task_factory is factory
    assert makes_tasks_itself(loop)
    method = loop.create_task
    loop.create_task = lambda *args, **kwargs: method(*args, **kwargs)
    assert not makes_tasks_itself(loop)
    loop.close()
    assert loop._closed


def test_a_method_of_the_class_is_told_from_what_stands_over_it() -> None:
    loop: Any = asyncio.new_event_loop()
    other = asyncio.new_event_loop()
    assert is_method_of_class(loop, "create_task")
    loop.create_task = other.create_task  # of the class, but of another object
    assert not is_method_of_class(loop, "create_task")
    del loop.create_task
    assert is_method_of_class(loop, "create_task")
    for each in (loop, other):
        each.close()


def test_a_loop_that_makes_tasks_otherwise_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loop(asyncio.SelectorEventLoop):
        def create_task(self, *args: Any, **kwargs: Any) -> Any:
            return super().create_task(*args, **kwargs)

    loop = Loop()
    assert not makes_tasks_itself(loop)
    loop.close()
    other = asyncio.new_event_loop()
    assert makes_tasks_itself(other)
    monkeypatch.setattr(task_internals.tasks, "Task", asyncio.tasks._PyTask)  # type: ignore[attr-defined]
    assert not makes_tasks_itself(other)
    other.close()


def test_what_a_task_keeps_can_be_read() -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()

        async def wait() -> None:
            await future

        waiting, failing, young = (asyncio.create_task(coro) for coro in (wait(), fail(), nothing()))
        assert waited_for(young) is None
        young.cancel()
        assert must_cancel(young)
        await asyncio.wait([failing, young])
        assert (has_failed(failing), has_failed(young)) == (True, False)
        assert isinstance(failing.exception(), LookupError)
        assert has_failed(failing)
        assert waited_for(waiting) is future
        waiting.cancel()
        assert not must_cancel(waiting)
        gathered = asyncio.gather(waiting)
        await asyncio.wait([waiting])
        await asyncio.sleep(0)
        assert gathered.cancelled() or is_cancelled_by_error(gathered)
        assert not is_cancelled_by_error(failing)

    asyncio.run(main())


def test_the_result_that_wait_for_would_return_is_found_where_it_drops_cancellations() -> None:
    async def main() -> None:
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def wait() -> None:
            await asyncio.wait_for(ready, 30)

        task, other = asyncio.create_task(wait()), asyncio.create_task(asyncio.sleep(0))
        await asyncio.sleep(0)
        expected = ready if sys.version_info < (3, 12) else None
        assert raced_by_wait_for(task, waited_for(task)) is expected
        assert raced_by_wait_for(other, waited_for(other)) is None
        assert raced_by_wait_for(other, ready) is None
        ready.set_result(None)
        await asyncio.wait([task, other])

    asyncio.run(main())
