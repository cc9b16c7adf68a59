"""get_async_manager, use_manager, as_task: which manager the running code belongs to."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import weakref
from typing import Any

import pytest

from pytest_uno.core.async_manager import AsyncManager, as_task, get_async_manager, use_manager
from pytest_uno.core.current_manager import current_manager
from pytest_uno.core.errors import ManagerClosedError
from tests.core.coroutines import hang
from tests.core.jumping_loop import JumpingLoop, in_jumping_loop, run


async def ask() -> AsyncManager:
    return get_async_manager()


def test_without_a_loop_and_a_current_manager_there_is_none() -> None:
    with pytest.raises(RuntimeError, match="there is no AsyncManager here"):
        get_async_manager()


def test_without_a_loop_the_current_manager_counts() -> None:
    manager = AsyncManager()
    with use_manager(manager) as used:
        assert get_async_manager() is manager is used
        assert current_manager.get() is manager
    assert current_manager.get() is None


@in_jumping_loop
async def test_a_loop_has_one_manager_of_its_own() -> None:
    manager = get_async_manager()
    assert manager is get_async_manager()
    assert await asyncio.create_task(ask()) is manager
    assert manager.used
    assert current_manager.get() is None


def test_loops_do_not_share_managers() -> None:
    assert run(ask()) is not run(ask())


def test_the_loops_manager_ends_with_the_loop() -> None:
    closed: list[object] = []

    async def main() -> AsyncManager:
        manager = get_async_manager()
        manager.add_shutdown_hook(lambda: closed.append(manager.state))
        await manager.register_resource([], close=lambda: closed.append(get_async_manager() is manager))
        return manager

    for jumps in (False, True):
        closed.clear()
        manager = run(main()) if jumps else asyncio.run(main())
        assert manager.state == "closed"
        assert closed == ["closing", True]


def test_errors_at_the_end_of_the_loop_reach_its_exception_handler() -> None:
    reported: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
        await get_async_manager().register_resource([], close=lambda: 1 / 0)

    run(main())
    (context,) = reported
    assert isinstance(context["exception"], ExceptionGroup)
    assert isinstance(context["exception"].exceptions[0], ZeroDivisionError)


def test_the_loops_manager_is_replaced_after_a_shutdown_and_that_one_ends_too() -> None:
    closed = []

    async def main() -> None:
        first = get_async_manager()
        await first.shutdown()
        second = get_async_manager()
        assert second is not first
        second.add_shutdown_hook(lambda: closed.append("second"))

    run(main())
    assert closed == ["second"]


def test_a_loop_and_its_manager_are_freed_together() -> None:
    loop = JumpingLoop()
    references = [weakref.ref(loop), weakref.ref(loop.run_until_complete(ask()))]
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    del loop
    gc.collect()
    assert [reference() for reference in references] == [None, None]  # type: ignore[operator]


def test_a_manager_that_is_bound_to_another_loop_is_never_returned() -> None:
    manager = AsyncManager()

    async def main() -> None:
        assert get_async_manager() is manager
        await manager.start()

    async def other() -> None:
        assert get_async_manager() is not manager
        assert get_async_manager() is get_async_manager()

    with use_manager(manager):
        run(main())
        run(other())
        assert get_async_manager() is manager  # outside of a loop nothing speaks against it


@in_jumping_loop
async def test_a_current_manager_is_returned_though_closed() -> None:
    manager = AsyncManager()
    with use_manager(manager):
        await manager.shutdown()
        assert get_async_manager() is manager
        coro = ask()
        with pytest.raises(ManagerClosedError):
            get_async_manager().create_task(coro)


@in_jumping_loop
async def test_blocks_nest_and_do_not_start_or_end() -> None:
    outer, inner = AsyncManager(), AsyncManager()
    again = use_manager(outer)
    with again:
        with use_manager(inner):
            assert get_async_manager() is inner
            with again:
                assert get_async_manager() is outer
            assert get_async_manager() is inner
        assert get_async_manager() is outer
    assert current_manager.get() is None
    assert inner.state == outer.state == "new"


@in_jumping_loop
async def test_concurrent_tasks_do_not_see_each_others() -> None:
    async def work() -> bool:
        with use_manager(AsyncManager()) as manager:
            await asyncio.sleep(0)
            return get_async_manager() is manager

    assert await asyncio.gather(*(work() for _ in range(5))) == [True] * 5


def test_the_halves_of_a_fixture_may_run_in_different_contexts() -> None:
    manager = AsyncManager()
    block = use_manager(manager)
    first, second = contextvars.copy_context(), contextvars.copy_context()
    first.run(block.__enter__)
    second.run(block.__exit__, None, None, None)
    assert second.run(current_manager.get) is None
    # As pytest-asyncio does it: the second half runs in a copy of the context in which the first ended.
    first.run(block.__enter__)
    copied = first.copy()
    copied.run(block.__exit__, None, None, None)
    assert copied.run(current_manager.get) is None
    other = AsyncManager()
    first.run(block.__enter__)
    copied = first.copy()
    copied.run(current_manager.set, other)
    copied.run(block.__exit__, None, None, None)
    assert copied.run(current_manager.get) is other


# ---------------------------------------------------------------------------------------------- as_task


@in_jumping_loop
async def test_as_task_starts_managed_tasks() -> None:
    @as_task
    async def add(a: int, *, b: int) -> int:
        """Add."""
        return a + b

    @as_task("mailer")
    async def named() -> AsyncManager:
        return get_async_manager()

    @as_task()
    async def bare() -> None:
        await hang()

    async with AsyncManager() as manager:
        task = add(1, b=2)
        assert isinstance(task, asyncio.Task)
        assert task in manager.tasks
        assert (task.get_name(), add.__name__, add.__doc__) == ("add", "add", "Add.")
        assert await task == 3
        other = named()
        assert other.get_name() == "mailer"
        assert await other is manager
        hanging = bare()
        assert hanging.get_name() == "bare"
    assert hanging.cancelled()


@in_jumping_loop
async def test_as_task_takes_whatever_is_asynchronous_to_call() -> None:
    class Job:
        async def __call__(self) -> int:
            return 1

    async def add(a: int, b: int) -> int:
        return a + b

    assert await as_task(Job())() == 1
    partial = as_task("sum")(functools.partial(add, 1, b=2))
    assert await partial() == 3
    task = as_task(functools.partial(add, 1, b=2))()
    assert task.get_name() == "partial"
    assert await task == 3


def test_as_task_refuses_synchronous_functions_at_decoration() -> None:
    with pytest.raises(TypeError, match="as_task needs an `async def` function"):
        as_task(print)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="as_task needs an `async def` function"):
        as_task("name")(print)  # type: ignore[arg-type]


def test_as_task_needs_a_loop_when_called() -> None:
    start = as_task(ask)
    with pytest.raises(RuntimeError, match="there is no AsyncManager here"):
        start()
