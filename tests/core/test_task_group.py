"""How tasks come into a task group, and how their failures come out."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from pytest_uno.core.task_group import TaskGroup
from tests.core.coroutines import fail, passes, return_it
from tests.core.task_groups import both_modes, running_task

pytestmark = pytest.mark.asyncio


# ---------------------------------------------------------------------------------------------- creating


@both_modes
async def test_refusals_close_the_coroutine(cancel_on_error: bool) -> None:
    group = TaskGroup("g", cancel_on_error=cancel_on_error)

    def refused(match: str) -> None:
        coro = return_it(1)
        with pytest.raises(RuntimeError, match=match):
            group.create_task(coro)
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            coro.send(None)

    refused("has not been entered")
    async with group:
        group.create_task(asyncio.sleep(3600))
        group.cancel()
        refused("is shutting down")
    refused("is finished")


@both_modes
async def test_a_task_may_start_tasks_while_the_host_waits(cancel_on_error: bool) -> None:
    async def start() -> asyncio.Task[Any]:
        await passes()
        return group.create_task(return_it("late"))

    async with TaskGroup(cancel_on_error=cancel_on_error) as group:
        starter = group.create_task(start())
    assert starter.result().result() == "late"


async def test_no_task_after_a_failure() -> None:
    with pytest.raises(ExceptionGroup):
        async with TaskGroup() as group:
            group.create_task(fail(ValueError()))
            try:
                await asyncio.sleep(3600)
            finally:
                with pytest.raises(RuntimeError, match="is shutting down"):
                    group.create_task(return_it(1))


@both_modes
async def test_what_is_no_coroutine_is_a_type_error(cancel_on_error: bool) -> None:
    async with TaskGroup(cancel_on_error=cancel_on_error) as group:
        with pytest.raises(TypeError):
            group.create_task("nonsense")  # type: ignore[arg-type]
        coro = return_it(1)
        with pytest.raises(TypeError):
            group.create_task(coro, nonsense=1)
        assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED
    assert group.tasks == []


async def test_a_runtime_error_of_the_task_factory_is_not_renamed() -> None:
    loop = asyncio.get_running_loop()

    def factory(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no tasks today")

    async with TaskGroup() as group:
        loop.set_task_factory(factory)
        try:
            with pytest.raises(RuntimeError, match="no tasks today"):
                group.create_task(return_it(1))
        finally:
            loop.set_task_factory(None)


@both_modes
async def test_context_is_passed_on(cancel_on_error: bool) -> None:
    import contextvars

    variable = contextvars.ContextVar("variable", default=0)
    context = contextvars.copy_context()
    context.run(variable.set, 7)

    async def look() -> int:
        return variable.get()

    async with TaskGroup(cancel_on_error=cancel_on_error) as group:
        task = group.create_task(look(), context=context)
    assert task.result() == 7


async def test_a_group_is_entered_once() -> None:
    async with TaskGroup() as group:
        with pytest.raises(RuntimeError, match="already been entered"):
            await group.__aenter__()


# ---------------------------------------------------------------------------------------------- failures


async def test_a_failure_cancels_the_others_and_the_body() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with TaskGroup("g") as group:
            sibling = group.create_task(asyncio.sleep(3600))
            group.create_task(fail(ValueError("boom")), name="bad")
            await asyncio.sleep(3600)
    assert sibling.cancelled()
    assert [repr(error) for error in caught.value.exceptions] == ["ValueError('boom')"]
    assert caught.value.exceptions[0].__notes__ == ["in task 'bad' of g"]
    assert running_task().cancelling() == 0


async def test_supervised_siblings_go_on_and_all_errors_are_raised() -> None:
    gate = asyncio.Event()
    with pytest.raises(ExceptionGroup) as caught:
        async with TaskGroup("g", cancel_on_error=False) as group:
            good = group.create_task(gate.wait())
            group.create_task(fail(ValueError("a")), name="a")
            group.create_task(fail(KeyError("b")), name="b")
            await passes()
            gate.set()
    assert good.result() is True
    assert caught.value.message == "unhandled errors in g"
    assert [type(error) for error in caught.value.exceptions] == [ValueError, KeyError]
    assert [error.__notes__ for error in caught.value.exceptions] == [
        ["in task 'a' of g"],
        ["in task 'b' of g"],
    ]


async def test_supervised_body_failure_cancels_tasks_and_joins_their_errors() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with TaskGroup("g", cancel_on_error=False) as group:
            group.create_task(fail(ValueError("task")))
            other = group.create_task(asyncio.sleep(3600))
            await passes()
            raise KeyError("body")
    assert other.cancelled()
    assert sorted(type(error).__name__ for error in caught.value.exceptions) == ["KeyError", "ValueError"]


async def test_supervised_body_failure_alone() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with TaskGroup(cancel_on_error=False):
            raise KeyError("body")
    assert [type(error) for error in caught.value.exceptions] == [KeyError]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
async def test_supervised_exit_is_raised_as_it_is(error: BaseException) -> None:
    seen: list[Any] = []

    async def main() -> None:
        async with TaskGroup(cancel_on_error=False) as group:
            sibling = group.create_task(asyncio.sleep(3600))
            group.create_task(fail(error))
            try:
                await asyncio.sleep(3600)
            finally:
                seen.append(sibling)

    def run() -> None:
        with pytest.raises(type(error)):
            asyncio.run(main())

    await asyncio.to_thread(run)
    assert seen[0].cancelled()


async def test_supervised_exit_while_the_host_waits() -> None:
    loop_error: list[BaseException] = []

    async def exit_quietly() -> None:
        raise SystemExit(3)

    async def main() -> None:
        try:
            async with TaskGroup(cancel_on_error=False) as group:
                group.create_task(asyncio.sleep(3600))
                group.create_task(exit_quietly())
        except BaseException as exc:
            loop_error.append(exc)

    def run() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(main())
        with pytest.raises(SystemExit):
            loop.run_until_complete(task)
        loop.run_until_complete(task)
        loop.close()

    await asyncio.to_thread(run)
    assert [type(error) for error in loop_error] == [SystemExit]
