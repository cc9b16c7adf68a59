"""AsyncManager.shutdown(): order, errors, time limits, cancellation, callers from within."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest

from pytest_uno.core.async_manager import AsyncManager, get_async_manager
from pytest_uno.core.errors import TaskLeakError
from pytest_uno.core.task_location import describe_task
from tests.core.jumping_loop import JumpingLoop, in_jumping_loop, run


async def passes(number: int = 3) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def hang() -> None:
    await asyncio.Event().wait()


async def fail(error: Exception) -> None:
    raise error


class Stubborn:
    """A coroutine function that ignores cancellations until it is released."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.cancellations = 0

    async def __call__(self) -> None:
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancellations += 1


async def end_leaked(errors: tuple[BaseException, ...], *stubborn: Stubborn) -> None:
    """Let go of what a test left behind."""
    for each in stubborn:
        each.release.set()
    tasks = [task for error in errors if isinstance(error, TaskLeakError) for task in error.tasks]
    if tasks:
        await asyncio.wait(tasks)


# ---------------------------------------------------------------------------------------------- order


@in_jumping_loop
async def test_hooks_then_tasks_then_resources_each_newest_first() -> None:
    seen: list[str] = []
    manager = AsyncManager()

    async def work(name: str) -> None:
        try:
            await hang()
        finally:
            seen.append(name)

    for number in (1, 2):
        manager.add_shutdown_hook(functools.partial(seen.append, f"hook {number}"))
        await manager.register_resource(
            [], f"r{number}", close=functools.partial(seen.append, f"resource {number}")
        )
        manager.create_task(work(f"task {number}"))
    await passes()
    await manager.shutdown()
    assert seen == ["hook 2", "hook 1", "task 1", "task 2", "resource 2", "resource 1"]


@in_jumping_loop
async def test_hooks_may_be_async_and_see_the_manager() -> None:
    manager = AsyncManager()
    seen = []

    @manager.add_shutdown_hook
    async def hook() -> None:
        await passes()
        seen.append(get_async_manager())
        await asyncio.create_task(inner())

    async def inner() -> None:
        seen.append(get_async_manager())

    await manager.shutdown()
    assert seen == [manager, manager]


@in_jumping_loop
async def test_a_hook_may_use_what_is_still_there() -> None:
    manager = AsyncManager()
    queue: asyncio.Queue[int] = asyncio.Queue()
    done = []

    async def worker() -> None:
        while True:
            done.append(await queue.get())
            queue.task_done()

    manager.create_task(worker())
    queue.put_nowait(1)
    manager.add_shutdown_hook(queue.join)
    await manager.shutdown()
    assert done == [1]


@in_jumping_loop
async def test_it_is_idempotent() -> None:
    manager = AsyncManager()
    seen = []
    manager.add_shutdown_hook(lambda: seen.append(1))
    await manager.shutdown()
    await manager.shutdown()
    assert seen == [1]


@in_jumping_loop
async def test_concurrent_callers_wait_and_the_first_gets_the_errors() -> None:
    manager = AsyncManager()
    go_on = asyncio.Event()

    @manager.add_shutdown_hook
    async def slow() -> None:
        await go_on.wait()
        raise OSError

    callers = [asyncio.create_task(manager.shutdown()) for _ in range(3)]
    waiting = asyncio.create_task(manager.wait_for_shutdown())
    await passes(10)
    assert not any(task.done() for task in (*callers, waiting))
    go_on.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    await waiting
    assert [type(result) for result in results] == [ExceptionGroup, type(None), type(None)]
    await manager.wait_for_shutdown()  # at once


# ---------------------------------------------------------------------------------------------- errors


@in_jumping_loop
async def test_everything_is_attempted_then_one_group_is_raised() -> None:
    manager = AsyncManager("app")
    hook, task, resource = OSError("hook"), ValueError("task"), KeyError("resource")
    seen = []

    def fail_sync(error: Exception) -> Callable[[], None]:
        def close() -> None:
            raise error

        return close

    manager.add_shutdown_hook(lambda: seen.append("hook"))
    manager.add_shutdown_hook(fail_sync(hook))

    async def fails_when_cancelled() -> None:
        try:
            await hang()
        finally:
            raise task

    manager.create_task(fails_when_cancelled(), name="worker")
    await manager.register_resource([], "first", close=lambda: seen.append("resource"))
    await manager.register_resource([], "second", close=fail_sync(resource))
    await passes()
    with pytest.raises(ExceptionGroup, match="errors while shutting down manager 'app'") as caught:
        await manager.shutdown()
    assert caught.value.exceptions == manager.errors == (hook, task, resource)
    assert seen == ["hook", "resource"]
    assert manager.state == "closed"
    assert hook.__notes__[0].startswith("raised by shutdown hook ")
    assert task.__notes__ == ["in task 'worker' of 'app'"]
    assert resource.__notes__ == ["raised by closing resource 'second' of 'app'"]


@in_jumping_loop
async def test_a_body_error_keeps_priority_and_shutdown_errors_are_notes_and_reported() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    with pytest.raises(ValueError, match="body") as caught:
        async with AsyncManager("app") as manager:
            manager.add_shutdown_hook(lambda: 1 / 0)
            raise ValueError("body")
    assert len(caught.value.__notes__) == 1
    assert "and while shutting down manager 'app': ZeroDivisionError" in caught.value.__notes__[0]
    assert [context["message"] for context in reported] == ["error while shutting down manager 'app'"]
    assert reported[0]["exception"] is manager.errors[0]


@in_jumping_loop
async def test_without_a_body_error_the_block_raises_the_shutdown_errors() -> None:
    with pytest.raises(ExceptionGroup):
        async with AsyncManager() as manager:
            manager.add_shutdown_hook(lambda: 1 / 0)


@in_jumping_loop
async def test_a_failure_during_the_shutdown_is_raised_by_it_and_not_reported() -> None:
    reported: list[object] = []
    manager = AsyncManager(on_task_error=lambda *args: reported.append(args))
    error = ValueError()
    manager.add_shutdown_hook(passes)  # while it runs, the task fails
    task = manager.create_task(fail(error))
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown()
    await passes()
    assert caught.value.exceptions == (error,)
    assert task.exception() is error
    assert reported == []


# ---------------------------------------------------------------------------------------------- tasks


@in_jumping_loop
async def test_each_task_is_cancelled_once() -> None:
    manager = AsyncManager()
    ended = []

    async def cleans_up(name: str) -> None:
        try:
            await hang()
        finally:
            await passes(5)  # a second cancellation would end it here
            ended.append(name)

    async def host(name: str) -> None:
        async with manager.task_group() as group:
            group.create_task(cleans_up(name))
            async with manager.task_group() as inner:
                inner.create_task(cleans_up(f"{name} inner"))

    async def hosting_child() -> None:
        async with manager.task_group(cancel_on_error=False) as group:
            group.create_task(cleans_up("grandchild"))

    manager.create_task(cleans_up("task"))
    manager.create_task(host("managed host"))
    unmanaged = asyncio.create_task(host("unmanaged host"))
    async with manager.task_group() as group:
        group.create_task(cleans_up("caller's"))
        group.create_task(hosting_child())
        await passes()
        await manager.shutdown()
        assert sorted(ended) == [
            "caller's",
            "grandchild",
            "managed host",
            "managed host inner",
            "task",
            "unmanaged host",
            "unmanaged host inner",
        ]
    await unmanaged  # its block is left without an error, as after TaskGroup.cancel()
    assert manager.tasks == frozenset()


@in_jumping_loop
async def test_groups_take_no_tasks_any_more() -> None:
    manager = AsyncManager("app")
    async with manager.task_group() as group:
        await manager.shutdown()
        coro = passes()
        with pytest.raises(RuntimeError, match="manager 'app' is closed"):
            group.create_task(coro)


@in_jumping_loop
async def test_grace_lets_tasks_end_by_themselves() -> None:
    manager = AsyncManager()
    loop = asyncio.get_running_loop()
    quick = manager.create_task(asyncio.sleep(2, "result"))
    slow = manager.create_task(asyncio.sleep(20))
    before = loop.time()
    await manager.shutdown(grace=5)
    assert quick.result() == "result"
    assert slow.cancelled()
    assert loop.time() - before == 5


@in_jumping_loop
async def test_stubborn_tasks_are_named_with_file_and_line() -> None:
    manager = AsyncManager("app", shutdown_timeout=3)
    loop = asyncio.get_running_loop()
    stubborn = Stubborn()
    task = manager.create_task(stubborn(), name="worker")
    other = manager.create_task(stubborn(), name="other")
    await passes()
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown()
    assert loop.time() == 3
    (error,) = caught.value.exceptions
    assert isinstance(error, TaskLeakError)
    assert error.tasks == (task, other)
    assert "2 tasks of manager 'app' did not end although cancelled" in str(error)
    assert "'worker' at " in str(error)
    line = Stubborn.__call__.__code__.co_firstlineno + 3
    assert f"{__file__}:{line} in Stubborn.__call__" in str(error)
    assert stubborn.cancellations == 2
    assert manager.closed
    await end_leaked(caught.value.exceptions, stubborn)


@in_jumping_loop
async def test_futures_that_only_look_like_tasks_are_described_as_well() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert "Future pending" in describe_task(future)
    task = asyncio.create_task(passes(0), name="ended")
    await task
    assert describe_task(task) == "'ended'"

    class Waits:
        def __await__(self) -> Generator[Any, None, None]:
            yield from asyncio.Event().wait().__await__()

    async def consume() -> None:
        await Waits()

    task = asyncio.create_task(consume(), name="consumer")
    await passes()
    assert describe_task(task).endswith("Waits.__await__")
    task.cancel()
    await asyncio.wait((task,))


# ---------------------------------------------------------------------------------------------- time limits


@in_jumping_loop
async def test_hooks_and_closers_are_bounded_and_cancelled() -> None:
    manager = AsyncManager("app", shutdown_timeout=30, close_timeout=4)
    loop = asyncio.get_running_loop()
    times = []

    async def slow() -> None:
        before = loop.time()
        try:
            await hang()
        finally:
            times.append(loop.time() - before)

    await manager.register_resource([], "default", close=slow)
    await manager.register_resource([], "own", close=slow, timeout=1)
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown()
    assert times == [1, 4]
    assert [type(error) for error in caught.value.exceptions] == [TimeoutError, TimeoutError]
    assert "closing resource 'own' of 'app' was cancelled: it did not end within 1 s" in str(
        caught.value.exceptions[0]
    )


@in_jumping_loop
async def test_no_step_starves_the_next_and_the_deadline_holds() -> None:
    manager = AsyncManager(shutdown_timeout=16, close_timeout=2)
    loop = asyncio.get_running_loop()
    stubborn = Stubborn()
    closed = []

    async def close() -> None:
        await asyncio.sleep(0.5)
        closed.append(loop.time())

    manager.add_shutdown_hook(hang)
    manager.create_task(stubborn())
    await manager.register_resource([], close=close)
    await passes()
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown()
    assert [type(error) for error in caught.value.exceptions] == [TimeoutError, TaskLeakError]
    assert len(closed) == 1
    assert loop.time() <= 16
    await end_leaked(caught.value.exceptions, stubborn)


@in_jumping_loop
async def test_one_shutdown_may_have_another_limit() -> None:
    manager = AsyncManager()
    loop = asyncio.get_running_loop()
    manager.add_shutdown_hook(hang)
    with pytest.raises(ExceptionGroup):
        await manager.shutdown(timeout=0.5)
    assert loop.time() == 0.5


@pytest.mark.parametrize("limit", [0, float("inf")])
def test_limits_may_be_extreme(limit: float) -> None:
    async def main() -> None:
        manager = AsyncManager(shutdown_timeout=limit, close_timeout=limit)
        ended = []

        async def close() -> None:
            await passes(5)
            ended.append(True)

        async def work() -> None:
            try:
                await hang()
            finally:
                await passes(5)
                ended.append(True)

        manager.add_shutdown_hook(close)
        manager.create_task(work())
        await manager.register_resource([], close=close)
        await passes()
        await manager.shutdown()
        assert ended == [True] * 3

    run(main())


@in_jumping_loop
async def test_without_time_every_closer_is_still_started_and_what_is_late_is_cancelled() -> None:
    manager = AsyncManager()
    started, ended = [], []

    async def close() -> None:
        started.append(True)
        try:
            await hang()
        finally:
            await passes(5)
            ended.append(True)

    for number in range(3):
        await manager.register_resource([], f"r{number}", close=close)
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown(timeout=0)
    assert [type(error) for error in caught.value.exceptions] == [TimeoutError] * 3
    assert len(started) == len(ended) == 3
    assert asyncio.get_running_loop().time() == 0


# ---------------------------------------------------------------------------------------------- cancellation


@in_jumping_loop
async def test_cancelled_once_it_finishes_then_raises() -> None:
    manager = AsyncManager()
    go_on = asyncio.Event()
    closed = []

    async def close() -> None:
        await go_on.wait()
        closed.append(True)

    await manager.register_resource([], close=close)
    task = asyncio.create_task(manager.shutdown())
    await passes()
    task.cancel("why")
    await passes(20)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError, match="why"):
        await task
    assert closed == [True]
    assert manager.closed


@in_jumping_loop
async def test_errors_of_a_cancelled_shutdown_reach_the_exception_handler() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    manager = AsyncManager()

    async def close() -> None:
        await passes(10)
        raise OSError

    await manager.register_resource([], close=close)
    task = asyncio.create_task(manager.shutdown())
    await passes()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [type(context["exception"]) for context in reported] == [OSError]


def _cancel_twice(manager: AsyncManager, task: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    task.cancel()
    loop.call_soon(lambda: loop.call_soon(task.cancel))


def _hurry(manager: AsyncManager, task: asyncio.Task[None]) -> None:
    manager.hurry()
    manager.hurry()


def _request_again(manager: AsyncManager, task: asyncio.Task[None]) -> None:
    manager.request_shutdown()


@pytest.mark.parametrize("hurry", [_cancel_twice, _hurry, _request_again])
def test_hurried_it_waits_no_more_but_starts_every_closer(
    hurry: Callable[[AsyncManager, asyncio.Task[None]], None],
) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        manager = AsyncManager()
        stubborn = Stubborn()
        started = []

        async def close() -> None:
            started.append(True)
            await hang()

        manager.add_shutdown_hook(lambda: started.append(True))
        manager.add_shutdown_hook(close)
        worker = manager.create_task(stubborn())
        for number in range(2):
            await manager.register_resource([], f"r{number}", close=close)
        task = asyncio.create_task(manager.shutdown())
        await passes()
        hurry(manager, task)
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await task
        assert len(started) == 4
        assert asyncio.get_running_loop().time() == 0
        assert manager.closed
        assert stubborn.cancellations == 1
        assert [type(error) for error in manager.errors] == [TimeoutError, TaskLeakError] + [TimeoutError] * 2
        assert not worker.done()
        await end_leaked(manager.errors, stubborn)

    run(main())


@in_jumping_loop
async def test_hurrying_beforehand_counts() -> None:
    manager = AsyncManager()
    manager.add_shutdown_hook(hang)
    manager.hurry()
    with pytest.raises(ExceptionGroup):
        await manager.shutdown()
    assert asyncio.get_running_loop().time() == 0


@in_jumping_loop
async def test_a_shutdown_whose_own_task_is_cancelled_before_its_first_step_starts_over() -> None:
    manager = AsyncManager("app")
    closed = []
    await manager.register_resource([], close=lambda: closed.append(True))
    caller = asyncio.create_task(manager.shutdown())
    await asyncio.sleep(0)
    for task in asyncio.all_tasks():
        if task.get_name() == "app/shutdown":
            task.cancel()
    await caller
    assert closed == [True]


@pytest.mark.parametrize("number", range(6))
def test_the_end_of_the_loop_hurries_a_shutdown(number: int) -> None:
    started: list[str] = []

    async def main() -> None:
        manager = AsyncManager()
        manager.add_shutdown_hook(lambda: started.append("hook"))
        manager.create_task(hang())
        for name in ("r1", "r2"):
            await manager.register_resource([], name, close=functools.partial(started.append, name))
        background = asyncio.create_task(manager.shutdown())
        background.add_done_callback(lambda task: task.cancelled() or task.exception())
        await passes(number)  # wherever it is: asyncio.run now cancels all tasks

    loop = JumpingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    if number:  # 0: cancelled before it began
        assert started[-2:] == ["r2", "r1"]
    assert loop.time() == 0


@in_jumping_loop
async def test_a_hook_that_hurries_or_is_interrupted_at_the_end_of_its_loop() -> None:
    manager = AsyncManager("app")

    async def hook() -> None:
        for task in asyncio.all_tasks():
            if task.get_name() == "app/shutdown":
                task.cancel()
        await passes(5)

    manager.add_shutdown_hook(hook)
    manager.add_shutdown_hook(hook)
    await manager.shutdown()
    assert manager.closed


# ---------------------------------------------------------------------------------------------- from within


async def _directly(manager: AsyncManager) -> None:
    await manager.shutdown()


async def _in_a_task(manager: AsyncManager) -> None:
    await asyncio.create_task(manager.shutdown())


async def _in_a_group(manager: AsyncManager) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(manager.shutdown())


async def _through_another(manager: AsyncManager) -> None:
    async with AsyncManager() as other:
        other.add_shutdown_hook(manager.shutdown)


@pytest.mark.parametrize("again", [_directly, _in_a_task, _in_a_group, _through_another])
def test_a_hook_or_closer_that_shuts_down_again_does_not_deadlock(
    again: Callable[[AsyncManager], Any],
) -> None:
    async def main() -> None:
        manager = AsyncManager()
        manager.add_shutdown_hook(lambda: again(manager))
        await manager.register_resource([], close=lambda: again(manager))
        await manager.shutdown()
        assert asyncio.get_running_loop().time() == 0

    run(main())


@in_jumping_loop
async def test_managed_callers_are_neither_cancelled_nor_waited_for() -> None:
    manager = AsyncManager()
    after = []

    async def worker(name: str) -> None:
        await manager.shutdown()
        after.append(name)

    tasks = [manager.create_task(worker(name)) for name in ("first", "second")]
    bystander = manager.create_task(hang())
    await asyncio.gather(*tasks)
    assert after == ["first", "second"]
    assert bystander.cancelled()
    assert asyncio.get_running_loop().time() == 0


@in_jumping_loop
async def test_a_task_that_shuts_down_in_its_cleanup_is_not_waited_for() -> None:
    manager = AsyncManager()

    async def worker() -> None:
        try:
            await hang()
        finally:
            await manager.shutdown()

    task = manager.create_task(worker())
    await passes()
    await manager.shutdown()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.get_running_loop().time() == 0
    assert manager.errors == ()


@pytest.mark.parametrize("managed_host", [False, True])
def test_a_caller_in_a_group_does_not_deadlock_with_its_host(managed_host: bool) -> None:
    async def main() -> None:
        manager = AsyncManager()
        ended = []

        async def caller() -> None:
            await manager.shutdown()
            ended.append("caller")

        async def host() -> None:
            async with manager.task_group() as group:
                group.create_task(hang())
                group.create_task(caller())
            ended.append("host")

        async def outer_host() -> None:
            async with manager.task_group() as group:
                group.create_task(hang())
                group.create_task(host())
            ended.append("outer host")

        create_task = manager.create_task if managed_host else asyncio.create_task
        await create_task(outer_host())
        assert ended == ["caller", "host", "outer host"]
        assert asyncio.get_running_loop().time() == 0

    run(main())


def _await_task(coro: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, object]:
    async def await_task() -> None:
        await asyncio.create_task(coro)

    return await_task()


async def _gather(coro: Coroutine[Any, Any, None]) -> object:
    return await asyncio.gather(coro, asyncio.sleep(0))


async def _shield(coro: Coroutine[Any, Any, None]) -> object:
    return await asyncio.shield(coro)


@pytest.mark.parametrize("indirectly", [_await_task, _gather, _shield])
@pytest.mark.parametrize("where", ["task", "member"])
def test_a_task_that_awaits_a_caller_is_not_waited_for(
    indirectly: Callable[[Coroutine[Any, Any, None]], Coroutine[Any, Any, object]], where: str
) -> None:
    async def main() -> None:
        manager = AsyncManager()

        async def host() -> None:
            async with manager.task_group() as group:
                group.create_task(hang())
                group.create_task(indirectly(manager.shutdown()))

        task: asyncio.Task[object]
        if where == "task":  # noqa: SIM108 - one expression would be longer than a line
            task = manager.create_task(indirectly(manager.shutdown()))
        else:
            task = asyncio.create_task(host())
        await manager.wait_for_shutdown()
        assert asyncio.get_running_loop().time() == 0
        assert manager.errors == ()
        await asyncio.wait((task,))
        assert asyncio.get_running_loop().time() == 0

    run(main())


@in_jumping_loop
async def test_waiting_for_a_request() -> None:
    manager = AsyncManager()
    waiting = asyncio.create_task(manager.wait_for_request())
    await passes()
    assert not waiting.done()
    assert not manager.is_shutting_down()
    manager.request_shutdown()
    assert manager.is_shutting_down()
    assert manager.state == "new"
    await waiting
    await manager.wait_for_request()  # at once
    await manager.shutdown()
