"""AsyncManager: construction, states, start, tasks, failures, introspection."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import logging
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Coroutine
from typing import Any

import pytest

from pytest_uno.core.async_manager import AsyncManager, get_async_manager
from pytest_uno.core.errors import ManagerClosedError, UnoError
from tests.core.jumping_loop import in_jumping_loop, run


async def passes(number: int = 3) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def fail(error: BaseException) -> None:
    raise error


async def hang() -> None:
    await asyncio.Event().wait()


# ---------------------------------------------------------------------------------------------- states


def test_a_new_manager_is_unused_and_unbound() -> None:
    manager = AsyncManager()
    assert (manager.state, manager.closed, manager.used, manager.is_shutting_down()) == (
        "new",
        False,
        False,
        False,
    )
    assert manager.tasks == frozenset()
    assert [*manager.failures, *manager.errors, *manager.open_resources] == []
    assert dict(manager.resources) == {}
    assert manager.session_factory is None
    assert manager.stop_signal is None


def test_managers_are_named_and_numbered() -> None:
    first, second, named = AsyncManager(), AsyncManager(), AsyncManager("orders")
    assert first.name.startswith("manager-")
    assert first.name != second.name
    assert named.name == "orders"
    assert repr(named) == "<AsyncManager 'orders' new tasks=0 resources=0>"


@in_jumping_loop
async def test_states_follow_the_life() -> None:
    manager = AsyncManager()
    seen = []
    manager.add_startup_hook(lambda: seen.append(manager.state))
    manager.add_shutdown_hook(lambda: seen.append(manager.state))
    await manager.start()
    seen.append(manager.state)
    await manager.shutdown()
    seen.append(manager.state)
    assert seen == ["new", "running", "closing", "closed"]
    assert manager.closed
    assert manager.is_shutting_down()


@in_jumping_loop
async def test_whatever_can_leave_something_to_shut_down_makes_it_used() -> None:
    def hooked_at_start(manager: AsyncManager) -> None:
        manager.add_startup_hook(print)

    def hooked_at_end(manager: AsyncManager) -> None:
        manager.add_shutdown_hook(print)

    def with_task(manager: AsyncManager) -> None:
        manager.create_task(passes())

    for use in (hooked_at_start, hooked_at_end, with_task):
        manager = AsyncManager()
        use(manager)
        assert manager.used, use
    started = AsyncManager()
    await started.start()
    assert started.used
    owner = AsyncManager()
    await owner.register_resource(asyncio.Event(), close=lambda: None)
    assert owner.used


def test_it_belongs_to_the_first_loop_that_uses_it() -> None:
    manager = AsyncManager("global")
    run(manager.start())

    async def use_again() -> None:
        coro = passes()
        with pytest.raises(RuntimeError, match="manager 'global' was used in another event loop"):
            manager.create_task(coro)
        assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED  # closed, not left unawaited
        registering: Coroutine[Any, Any, object] = manager.register_resource(object(), close=print)
        for refused in (manager.start(), manager.shutdown(), registering):
            with pytest.raises(RuntimeError, match="another event loop"):
                await refused

    run(use_again())
    assert manager.state == "running"


def test_it_is_made_outside_of_a_loop_but_used_inside() -> None:
    coro = passes()
    with pytest.raises(RuntimeError, match="no running event loop"):
        AsyncManager().create_task(coro)
    assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED


# ---------------------------------------------------------------------------------------------- start


@in_jumping_loop
async def test_startup_hooks_run_oldest_first_and_may_be_sync_or_async() -> None:
    manager = AsyncManager()
    seen = []

    @manager.add_startup_hook
    def sync_hook() -> None:
        seen.append(1)

    @manager.add_startup_hook
    async def async_hook() -> None:
        await passes()
        seen.append(2)

    await manager.start()
    await manager.start()
    assert seen == [1, 2]
    with pytest.raises(RuntimeError, match="has already started"):
        manager.add_startup_hook(sync_hook)


@in_jumping_loop
async def test_concurrent_starts_call_the_hooks_once() -> None:
    manager = AsyncManager()
    seen = []

    @manager.add_startup_hook
    async def hook() -> None:
        await passes()
        seen.append(manager.state)
        await manager.start()  # would wait for itself

    await asyncio.gather(manager.start(), manager.start())
    assert seen == ["new"]
    assert manager.state == "running"


@in_jumping_loop
async def test_a_failing_startup_hook_aborts_releases_and_raises() -> None:
    manager = AsyncManager()
    seen = []

    @manager.add_startup_hook
    async def take() -> None:
        await manager.register_resource("db", close=lambda: seen.append("closed"))

    @manager.add_startup_hook
    def fails() -> None:
        raise OSError("no port")

    manager.add_startup_hook(lambda: seen.append("never"))
    with pytest.raises(OSError, match="no port"):
        await manager.start()
    assert seen == ["closed"]
    assert manager.state == "closed"
    with pytest.raises(ManagerClosedError):
        await manager.start()


@in_jumping_loop
async def test_errors_while_giving_up_a_start_are_notes_and_reach_the_exception_handler() -> None:
    manager = AsyncManager("app")
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))

    @manager.add_startup_hook
    async def take() -> None:
        await manager.register_resource("db", close=lambda: 1 / 0)

    manager.add_startup_hook(lambda: int("x"))
    with pytest.raises(ValueError) as caught:
        await manager.start()
    assert "and while shutting down manager 'app': ZeroDivisionError" in caught.value.__notes__[0]
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]


@in_jumping_loop
async def test_a_cancelled_start_releases_too() -> None:
    manager = AsyncManager()
    closed: list[bool] = []

    @manager.add_startup_hook
    async def slow() -> None:
        await manager.register_resource("db", close=lambda: closed.append(True))
        await hang()

    task = asyncio.create_task(manager.start())
    await passes()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [True]


@in_jumping_loop
async def test_a_shutdown_during_the_start_ends_the_start() -> None:
    manager = AsyncManager()
    seen = []

    @manager.add_startup_hook
    async def ends_it() -> None:
        await manager.shutdown()

    manager.add_startup_hook(lambda: seen.append("never"))
    with pytest.raises(ManagerClosedError, match="is closed and takes no more work"):
        await manager.start()
    assert seen == []


@in_jumping_loop
async def test_the_block_starts_makes_current_and_ends() -> None:
    outside = get_async_manager()
    manager = AsyncManager()
    async with manager as entered:
        assert entered is manager is get_async_manager()
        assert manager.state == "running"
        async with manager:  # again: the inner block ends it
            assert get_async_manager() is manager
        assert manager.closed
    assert get_async_manager() is outside


@in_jumping_loop
async def test_a_block_whose_start_fails_restores_the_current_manager() -> None:
    outside = get_async_manager()
    manager = AsyncManager()
    manager.add_startup_hook(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        async with manager:
            pytest.fail("must not be entered")
    assert get_async_manager() is outside


# ---------------------------------------------------------------------------------------------- tasks


@in_jumping_loop
async def test_tasks_run_named_and_see_their_manager() -> None:
    manager = AsyncManager()

    async def work() -> AsyncManager:
        return get_async_manager()

    task = manager.create_task(work(), name="worker")
    assert task.get_name() == "worker"
    assert manager.tasks == {task}
    assert await task is manager
    assert manager.tasks == frozenset()
    assert get_async_manager() is not manager
    async with manager:
        assert await manager.create_task(work()) is manager


@in_jumping_loop
async def test_a_context_of_your_own_is_left_alone() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    context = contextvars.copy_context()

    async def work() -> AsyncManager:
        variable.set(1)
        return get_async_manager()

    manager = AsyncManager()
    assert await manager.create_task(work(), context=context) is not manager
    assert context[variable] == 1


@in_jumping_loop
async def test_a_running_task_is_kept_alive() -> None:
    manager = AsyncManager()
    ended = []

    async def work() -> None:
        # Nothing but the manager refers to this task and its future.
        future = asyncio.get_running_loop().create_future()
        waiting.append(weakref.ref(future))
        try:
            await future
        finally:
            ended.append(True)

    waiting: list[weakref.ref[Any]] = []
    manager.create_task(work())
    await passes()
    gc.collect()
    future = waiting[0]()
    assert future is not None
    future.set_result(None)
    del future
    await passes()
    assert ended == [True]


@in_jumping_loop
async def test_a_closing_or_closed_manager_refuses_tasks_and_closes_the_coroutine() -> None:
    manager = AsyncManager("late")
    refused: list[ManagerClosedError] = []

    @manager.add_shutdown_hook
    def try_to_start() -> None:
        coro = passes()
        with pytest.raises(ManagerClosedError, match="manager 'late' is closing") as caught:
            manager.create_task(coro)
        assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED
        refused.append(caught.value)

    await manager.shutdown()
    assert isinstance(refused[0], RuntimeError)
    assert isinstance(refused[0], UnoError)
    coro = passes()
    with pytest.raises(ManagerClosedError, match="manager 'late' is closed"):
        manager.create_task(coro)
    assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED
    for refuse in (manager.add_startup_hook, manager.add_shutdown_hook):
        with pytest.raises(ManagerClosedError):
            refuse(print)


@in_jumping_loop
async def test_what_is_no_coroutine_is_refused_as_asyncio_does() -> None:
    manager = AsyncManager()
    with pytest.raises(TypeError, match="a coroutine was expected"):
        manager.create_task(passes)  # type: ignore[arg-type]
    coro = passes()
    with pytest.raises(TypeError):
        manager.create_task(coro, no_such_option=1)
    assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED
    assert manager.tasks == frozenset()


@in_jumping_loop
async def test_a_task_factory_that_knows_no_context_makes_tasks_of_the_manager() -> None:
    manager = AsyncManager()
    loop = asyncio.get_running_loop()

    def factory(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=loop)

    async def work() -> AsyncManager:
        return get_async_manager()

    loop.set_task_factory(factory)  # type: ignore[arg-type, unused-ignore]
    try:
        assert await manager.create_task(work()) is manager
    finally:
        loop.set_task_factory(None)
    await manager.shutdown()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
@in_jumping_loop
async def test_eager_tasks_are_managed() -> None:
    manager = AsyncManager()
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]

    async def work() -> AsyncManager:
        return get_async_manager()

    done = manager.create_task(work())
    assert done.done()
    assert done.result() is manager
    waiting = manager.create_task(hang())
    await passes()
    assert manager.tasks == {waiting}
    await manager.shutdown()
    assert waiting.cancelled()


@in_jumping_loop
async def test_groups_are_listed_while_open() -> None:
    manager = AsyncManager()
    async with manager.task_group("crawl", history=5) as group:
        task = group.create_task(hang())
        own = manager.create_task(hang())
        assert group.name == "crawl"
        assert manager.tasks == {task, own}
        assert "tasks=2" in repr(manager)
        task.cancel()
    assert manager.tasks == {own}
    await manager.shutdown()


@in_jumping_loop
async def test_group_tasks_see_their_manager() -> None:
    manager = AsyncManager()

    async def work() -> AsyncManager:
        return get_async_manager()

    async with manager.task_group() as group:
        task = group.create_task(work())
        context = contextvars.copy_context()
        other = group.create_task(work(), context=context)
    assert task.result() is manager
    assert other.result() is not manager


@in_jumping_loop
async def test_a_group_of_a_closed_manager_cannot_be_entered() -> None:
    manager = AsyncManager()
    await manager.shutdown()
    with pytest.raises(ManagerClosedError):
        async with manager.task_group():
            pytest.fail("must not be entered")


@in_jumping_loop
async def test_a_group_passes_errors_and_modes_on() -> None:
    manager = AsyncManager()
    ended = []

    async def sibling() -> None:
        await passes()
        ended.append(True)

    with pytest.raises(ExceptionGroup) as caught:
        async with manager.task_group(cancel_on_error=False) as group:
            group.create_task(fail(ValueError("first")))
            group.create_task(sibling())
    assert ended == [True]
    assert str(caught.value.exceptions[0]) == "first"
    assert not manager.failures


# ---------------------------------------------------------------------------------------------- failures


@in_jumping_loop
async def test_an_unseen_failure_is_reported_once_one_pass_later_and_raised_at_shutdown() -> None:
    seen: list[tuple[asyncio.Task[Any], BaseException]] = []
    manager = AsyncManager("app", on_task_error=lambda task, exc: seen.append((task, exc)))
    error = ValueError("boom")
    task = manager.create_task(fail(error), name="worker")
    while not task.done():
        await asyncio.sleep(0)
    assert seen == []
    await passes()
    assert seen == [(task, error)]
    assert manager.failures == (task,)
    with pytest.raises(ExceptionGroup, match="errors while shutting down manager 'app'") as caught:
        await manager.shutdown()
    assert caught.value.exceptions == (error,) == manager.errors
    assert "in task 'worker' of 'app'" in error.__notes__
    assert len(seen) == 1
    assert not manager.failures


@in_jumping_loop
async def test_a_failure_that_somebody_awaited_is_never_raised_again() -> None:
    seen: list[object] = []
    manager = AsyncManager(on_task_error=lambda *args: seen.append(args))
    with pytest.raises(ValueError):
        await manager.create_task(fail(ValueError()))
    results = await asyncio.gather(manager.create_task(fail(KeyError())), return_exceptions=True)
    assert isinstance(results[0], KeyError)
    looked_at = manager.create_task(fail(OSError()))
    looked_at.add_done_callback(lambda task: task.exception())
    await passes()
    assert seen == []
    assert not manager.failures
    await manager.shutdown()
    assert manager.errors == ()


@in_jumping_loop
async def test_a_handler_that_looks_at_the_task_has_dealt_with_it() -> None:
    manager = AsyncManager(on_task_error=lambda task, exc: task.exception())
    manager.create_task(fail(ValueError()))
    await passes()
    await manager.shutdown()


@in_jumping_loop
async def test_failures_are_logged_by_default(caplog: pytest.LogCaptureFixture) -> None:
    manager = AsyncManager("app")
    own = AsyncManager("own", logger=logging.getLogger("mine"))
    for each in (manager, own):
        each.create_task(fail(ValueError("boom")), name="worker")
    await passes()
    assert [(r.name, r.getMessage()) for r in caplog.records] == [
        ("pytest_uno", "task 'worker' of app failed and nobody awaits it"),
        ("mine", "task 'worker' of own failed and nobody awaits it"),
    ]
    assert caplog.records[0].exc_info is not None
    for each in (manager, own):
        with pytest.raises(ExceptionGroup):
            await each.shutdown()


@in_jumping_loop
async def test_a_failing_handler_reaches_the_exception_handler() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    manager = AsyncManager(on_task_error=lambda task, exc: 1 / 0)
    task = manager.create_task(fail(ValueError()))
    await passes()
    assert isinstance(reported[0]["exception"], ZeroDivisionError)
    assert task.exception() is not None
    await manager.shutdown()


@in_jumping_loop
async def test_cancelled_tasks_are_no_failures() -> None:
    seen: list[object] = []
    manager = AsyncManager(on_task_error=lambda *args: seen.append(args))
    manager.create_task(hang()).cancel()
    await passes()
    await manager.shutdown()
    assert seen == []


@in_jumping_loop
async def test_a_failure_after_the_shutdown_is_still_reported() -> None:
    seen: list[BaseException] = []
    manager = AsyncManager(on_task_error=lambda task, exc: seen.append(exc))

    async def end_and_fail() -> None:
        await manager.shutdown()
        raise ValueError("too late for the shutdown")

    task = manager.create_task(end_and_fail())
    await manager.wait_for_shutdown()
    while not task.done():
        await asyncio.sleep(0)
    await passes()
    assert [str(exc) for exc in seen] == ["too late for the shutdown"]
    assert not manager.failures
    assert task.exception() is seen[0]


@in_jumping_loop
async def test_a_base_exception_is_raised_as_the_cause_of_an_error() -> None:
    manager = AsyncManager("app", on_task_error=lambda task, exc: None)
    manager.create_task(fail(GeneratorExit("odd")))
    await passes()
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown()
    (error,) = caught.value.exceptions
    assert isinstance(error, UnoError)
    assert isinstance(error.__cause__, GeneratorExit)


def test_leaving_the_program_is_no_failure() -> None:
    managers: list[AsyncManager] = []

    async def main() -> None:
        managers.append(get_async_manager())
        managers[0].create_task(fail(SystemExit(3)))
        await hang()

    with pytest.raises(SystemExit):
        asyncio.run(main())
    assert managers[0].closed
    assert managers[0].errors == ()


@in_jumping_loop
async def test_at_most_a_thousand_failures_are_kept() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    manager = AsyncManager(on_task_error=lambda task, exc: None)
    for number in range(1001):
        manager.create_task(fail(ValueError(number)))
    await passes(5)
    gc.collect()
    assert len(manager.failures) == 1000
    assert len(reported) == 1  # by asyncio, when the oldest task was dropped
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown()
    assert len(caught.value.exceptions) == 1000


# ---------------------------------------------------------------------------------------------- costs


def _count_bytes_kept(number: int, *, grouped: bool) -> int:
    async def main() -> int:
        manager = AsyncManager()
        async with manager.task_group(history=100) as group:
            create = group.create_task if grouped else manager.create_task
            tracemalloc.start()
            try:
                for _ in range(number // 100):
                    for _ in range(100):
                        create(asyncio.sleep(0))
                    await passes()
                gc.collect()
                kept, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        await manager.shutdown()
        return kept

    return run(main())


@pytest.mark.parametrize("grouped", [True, False])
def test_finished_tasks_take_no_memory(grouped: bool) -> None:
    # What the interpreter or a tracer allocates meanwhile counts, too, but not each time; what a task keeps does.
    kept = []
    for _ in range(3):
        few, many = (_count_bytes_kept(number, grouped=grouped) for number in (1000, 5000))
        kept.append((many - few) / 4000)
        if kept[-1] < 7:
            return
    pytest.fail(f"bytes kept for each task, in three attempts: {kept}")


@in_jumping_loop
async def test_a_manager_is_freed_after_its_shutdown() -> None:
    manager = AsyncManager()
    manager.add_shutdown_hook(passes)
    async with manager:
        manager.create_task(hang())
    reference = weakref.ref(manager)
    await passes()
    del manager
    gc.collect()
    assert reference() is None


def test_managers_of_two_threads_do_not_meet() -> None:
    found: list[AsyncManager] = []

    async def main() -> None:
        async with AsyncManager():
            found.append(get_async_manager())

    threads = [threading.Thread(target=lambda: run(main())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] is not found[1]
