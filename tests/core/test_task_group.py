from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from pytest_uno.core.task_group import TaskGroup

pytestmark = pytest.mark.asyncio

both_modes = pytest.mark.parametrize("cancel_on_error", [True, False])


async def return_it(value: Any) -> Any:
    return value


async def fail(error: BaseException) -> None:
    raise error


async def pass_loop(times: int = 3) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


def running_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


# ---------------------------------------------------------------------------------------------- looking


async def test_views_follow_the_tasks() -> None:
    gate = asyncio.Event()
    boom = ValueError("boom")
    with pytest.raises(ExceptionGroup):
        async with TaskGroup("views", cancel_on_error=False) as group:
            done = group.create_task(return_it(1))
            failed = group.create_task(fail(boom))
            stopped = group.create_task(asyncio.sleep(3600))
            waiting = group.create_task(gate.wait())
            stopped.cancel()
            await pass_loop()
            assert group.tasks == [done, failed, stopped, waiting]
            assert group.active_tasks == [waiting]
            assert group.completed_tasks == [done, failed]
            assert group.cancelled_tasks == [stopped]
            assert group.failed_tasks == [failed]
            gate.set()
    assert group.active_tasks == []


async def test_a_view_is_a_copy() -> None:
    async with TaskGroup() as group:
        task = group.create_task(return_it(1))
        group.tasks.clear()
        assert group.tasks == [task]


async def test_names() -> None:
    async with TaskGroup("crawl") as group:
        first = group.create_task(return_it(1))
        second = group.create_task(return_it(2), name="own name")
        third = group.create_task(return_it(3))
    assert [task.get_name() for task in (first, second, third)] == ["crawl/0", "own name", "crawl/2"]
    assert group.name == "crawl"
    assert TaskGroup().name != TaskGroup().name
    assert TaskGroup("").name == ""


async def test_host_task_and_repr() -> None:
    group = TaskGroup("g")
    assert group.host_task is None
    assert repr(group) == "<TaskGroup 'g' new active=0>"
    async with group:
        assert group.host_task is running_task()
        group.create_task(return_it(1))
        assert repr(group) == "<TaskGroup 'g' entered active=1>"
    assert group.host_task is None
    assert repr(group) == "<TaskGroup 'g' left active=0>"


@both_modes
async def test_history_is_bounded(cancel_on_error: bool) -> None:
    async with TaskGroup(history=10, cancel_on_error=cancel_on_error) as group:
        keep = group.create_task(asyncio.sleep(3600))
        for number in range(1000):
            last = group.create_task(return_it(number))
            await pass_loop(1)
            assert len(group.tasks) <= 64
        remembered = group.completed_tasks
        assert len(remembered) >= 10
        assert remembered[-1] is last
        assert group.active_tasks == [keep]
        keep.cancel()


async def test_history_zero_and_growth_with_active_tasks() -> None:
    gate = asyncio.Event()
    async with TaskGroup(history=0) as group:
        for _ in range(200):
            group.create_task(gate.wait())
        assert len(group.active_tasks) == 200
        gate.set()
    with pytest.raises(ValueError, match="history must not be negative"):
        TaskGroup(history=-1)


async def test_forgotten_tasks_are_freed() -> None:
    async with TaskGroup(history=5) as group:
        first = weakref.ref(group.create_task(return_it(1)))
        for _ in range(200):
            group.create_task(return_it(1))
            await pass_loop(1)
        gc.collect()
        assert first() is None


async def test_a_failure_that_history_forgets_is_still_named() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with TaskGroup("g", history=0, cancel_on_error=False) as group:
            bad = group.create_task(fail(ValueError("x")), name="bad")
            for _ in range(100):
                group.create_task(return_it(1))
                await pass_loop(1)
    assert bad not in group.tasks
    assert caught.value.exceptions[0].__notes__ == ["in task 'bad' of g"]


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
        await pass_loop()
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
            await pass_loop()
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
            await pass_loop()
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


# ---------------------------------------------------------------------------------------------- cancellation


@both_modes
async def test_a_cancelled_host_cancels_its_tasks_once(cancel_on_error: bool) -> None:
    cancelled = 0

    async def stubborn() -> None:
        nonlocal cancelled
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled += 1
            await pass_loop()
            cancelled += 10
            raise

    async def host() -> None:
        async with TaskGroup(cancel_on_error=cancel_on_error) as group:
            group.create_task(stubborn())

    task = asyncio.create_task(host())
    await pass_loop()
    task.cancel()
    await pass_loop(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled == 11


@both_modes
async def test_an_error_wins_over_a_cancellation_which_stays_pending(cancel_on_error: bool) -> None:
    events: list[str] = []

    async def fail_when_cancelled() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("in clean-up")

    async def host() -> None:
        try:
            async with TaskGroup(cancel_on_error=cancel_on_error) as group:
                group.create_task(fail_when_cancelled())
        except* ValueError:
            events.append("error")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    task = asyncio.create_task(host())
    await pass_loop()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events == ["error", "cancelled"]


@both_modes
async def test_a_handled_failure_leaves_no_stale_cancellation(cancel_on_error: bool) -> None:
    async def fail_later() -> None:
        await pass_loop()
        raise ValueError

    async with asyncio.timeout(None) as limit:
        for _ in range(3):
            try:
                async with TaskGroup(cancel_on_error=cancel_on_error) as group:
                    group.create_task(fail_later())
            except* ValueError:
                pass
            assert running_task().cancelling() == 0
    assert not limit.expired()


async def test_an_enclosing_timeout_still_works_after_a_failed_group() -> None:
    async def fail_later() -> None:
        await pass_loop()
        raise ValueError

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as limit:
            try:
                async with TaskGroup() as group:
                    group.create_task(fail_later())
            except* ValueError:
                pass
            limit.reschedule(asyncio.get_running_loop().time())
            await asyncio.sleep(3600)


async def test_stale_cancellations_of_plain_groups_are_history() -> None:
    async def fail_later() -> None:
        await pass_loop()
        raise ValueError

    for _ in range(2):
        try:
            async with asyncio.TaskGroup() as plain:
                plain.create_task(fail_later())
        except* ValueError:
            pass
    async with TaskGroup() as group:
        group.create_task(asyncio.sleep(3600))
        group.cancel()
        await asyncio.sleep(3600)
    with pytest.raises(ExceptionGroup):
        async with TaskGroup() as group:
            group.create_task(fail_later())
    await asyncio.sleep(0)  # nothing is pending


# ---------------------------------------------------------------------------------------------- cancel()


@both_modes
async def test_cancel_ends_tasks_and_body(cancel_on_error: bool) -> None:
    reached = False
    async with TaskGroup(cancel_on_error=cancel_on_error) as group:
        task = group.create_task(asyncio.sleep(3600))
        await pass_loop(1)
        group.cancel()
        group.cancel()
        await asyncio.sleep(0)
        reached = True
    assert task.cancelled()
    assert not reached
    assert running_task().cancelling() == 0
    await asyncio.sleep(0)


@both_modes
async def test_cancel_when_the_body_ends_without_noticing(cancel_on_error: bool) -> None:
    async with TaskGroup(cancel_on_error=cancel_on_error) as group:
        task = group.create_task(asyncio.sleep(3600))
        group.cancel()
    assert task.cancelled()
    await asyncio.sleep(0)
    assert running_task().cancelling() == 0


@both_modes
async def test_cancel_from_a_task_while_the_host_waits(cancel_on_error: bool) -> None:
    async def stop() -> None:
        await pass_loop()
        group.cancel()

    async with TaskGroup(cancel_on_error=cancel_on_error) as group:
        task = group.create_task(asyncio.sleep(3600))
        group.create_task(stop())
    assert task.cancelled()
    await asyncio.sleep(0)
    assert running_task().cancelling() == 0


@both_modes
async def test_cancel_before_entering_and_after_leaving(cancel_on_error: bool) -> None:
    group = TaskGroup(cancel_on_error=cancel_on_error)
    group.cancel()
    reached = False
    async with group:
        await asyncio.sleep(0)
        reached = True
    assert not reached
    group.cancel()
    await asyncio.sleep(0)


@both_modes
async def test_errors_after_cancel_are_raised(cancel_on_error: bool) -> None:
    async def fail_when_cancelled() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("clean-up")

    with pytest.raises(ExceptionGroup) as caught:
        async with TaskGroup("g", cancel_on_error=cancel_on_error) as group:
            group.create_task(fail_when_cancelled())
            await pass_loop(1)
            group.cancel()
            await asyncio.sleep(0)
    assert [type(error) for error in caught.value.exceptions] == [ValueError]
    assert running_task().cancelling() == 0

    with pytest.raises(ExceptionGroup) as caught:
        async with TaskGroup("g", cancel_on_error=cancel_on_error) as group:
            group.cancel()
            raise KeyError("body")
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert running_task().cancelling() == 0


@both_modes
@pytest.mark.parametrize("inner_first", [True, False])
async def test_cancel_does_not_swallow_a_cancellation_from_outside(
    cancel_on_error: bool, inner_first: bool
) -> None:
    entered: list[TaskGroup] = []

    async def host() -> str:
        async with TaskGroup(cancel_on_error=cancel_on_error) as group:
            entered.append(group)
            group.create_task(asyncio.sleep(3600))
            await asyncio.sleep(3600)
        return "swallowed"

    task = asyncio.create_task(host())
    await pass_loop()
    for step in (entered[0].cancel, task.cancel) if inner_first else (task.cancel, entered[0].cancel):
        step()
    with pytest.raises(asyncio.CancelledError):
        await task


@both_modes
async def test_a_cancellation_from_outside_after_cancel_while_waiting(cancel_on_error: bool) -> None:
    release = asyncio.Event()

    async def slow_clean_up() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await release.wait()

    entered: list[TaskGroup] = []

    async def host() -> str:
        async with TaskGroup(cancel_on_error=cancel_on_error) as group:
            entered.append(group)
            group.create_task(slow_clean_up())
            await asyncio.sleep(3600)
        return "swallowed"

    task = asyncio.create_task(host())
    await pass_loop()
    entered[0].cancel()
    await pass_loop()
    task.cancel()
    await pass_loop()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task


@both_modes
async def test_both_cancellations_when_the_body_ends_without_noticing(cancel_on_error: bool) -> None:
    events: list[str] = []

    async def host() -> None:
        async with TaskGroup(cancel_on_error=cancel_on_error) as group:
            group.cancel()
            running_task().cancel()
        events.append("left")
        await asyncio.sleep(0)
        events.append("swallowed")

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(host())
    assert "swallowed" not in events


@both_modes
async def test_both_cancellations_when_the_body_fails_without_noticing(cancel_on_error: bool) -> None:
    events: list[str] = []

    async def host() -> None:
        try:
            async with TaskGroup(cancel_on_error=cancel_on_error) as group:
                group.cancel()
                running_task().cancel()
                raise ValueError
        except* ValueError:
            events.append("error")
        await asyncio.sleep(0)
        events.append("swallowed")

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(host())
    assert events == ["error"]


@both_modes
async def test_cancel_does_not_break_into_clean_up(cancel_on_error: bool) -> None:
    release = asyncio.Event()
    clean = False

    async def slow_clean_up() -> None:
        nonlocal clean
        try:
            await asyncio.sleep(3600)
        finally:
            await release.wait()
            clean = True

    async def host(group: TaskGroup) -> None:
        async with group:
            group.create_task(slow_clean_up())
            await pass_loop(1)
            raise ValueError  # cancels the task

    group = TaskGroup(cancel_on_error=cancel_on_error)
    task = asyncio.create_task(host(group))
    await pass_loop()
    group.cancel()
    await pass_loop()
    release.set()
    with pytest.raises(ExceptionGroup):
        await task
    assert clean


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
@both_modes
async def test_an_eager_task_that_cancels_the_group_is_cancelled(cancel_on_error: bool) -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - unknown to 3.11
    ended: list[str] = []

    async def cancel_and_go_on() -> None:
        group.cancel()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    try:
        async with TaskGroup(cancel_on_error=cancel_on_error) as group:
            group.create_task(cancel_and_go_on())
    finally:
        loop.set_task_factory(None)
    assert ended == ["cancelled"]


# ---------------------------------------------------------------------------------------------- cancel_all()


@both_modes
async def test_cancel_all_leaves_the_group_open(cancel_on_error: bool) -> None:
    async with TaskGroup(cancel_on_error=cancel_on_error) as group:
        tasks = [group.create_task(asyncio.sleep(3600)) for _ in range(3)]
        await pass_loop(1)
        await group.cancel_all("enough")
        assert all(task.cancelled() for task in tasks)
        await group.cancel_all()
        assert await group.create_task(return_it(5)) == 5


@both_modes
async def test_cancel_all_spares_the_caller(cancel_on_error: bool) -> None:
    async def stop_others() -> str:
        await group.cancel_all()
        return "alive"

    async with TaskGroup(cancel_on_error=cancel_on_error) as group:
        other = group.create_task(asyncio.sleep(3600))
        caller = group.create_task(stop_others())
    assert other.cancelled()
    assert caller.result() == "alive"


# ---------------------------------------------------------------------------------------------- the model


async def _run_scenario(make: Callable[[], asyncio.TaskGroup], scenario: tuple[bool, ...]) -> list[str]:
    """Run one mix of events with a group, and tell what happened."""
    task_fails, body_fails, host_cancelled, swallow, late = scenario
    log: list[str] = []

    async def work() -> None:
        try:
            await pass_loop(4 if late else 1)
            if task_fails:
                raise ValueError("task")
            await asyncio.sleep(3600 if body_fails or (host_cancelled and not swallow) else 0)
        except asyncio.CancelledError:
            log.append("task cancelled")
            raise

    async def host() -> None:
        async with make() as group:
            group.create_task(work())
            try:
                await pass_loop(3)
            except asyncio.CancelledError:
                log.append("body cancelled")
                if not swallow:
                    raise
            if body_fails:
                raise KeyError("body")

    task = asyncio.create_task(host())
    await pass_loop(2)
    if host_cancelled:
        task.cancel()
    try:
        await task
    except BaseExceptionGroup as group:
        log += sorted(repr(error) for error in group.exceptions)
    except asyncio.CancelledError:
        log.append("cancelled")
    return log


@pytest.mark.parametrize("bits", range(32))
async def test_without_its_extras_a_group_does_what_asyncio_does(bits: int) -> None:
    scenario = tuple(bool(bits >> shift & 1) for shift in range(5))
    assert await _run_scenario(TaskGroup, scenario) == await _run_scenario(asyncio.TaskGroup, scenario)
