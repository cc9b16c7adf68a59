"""What a cancellation shows without a check of the user's, and what must not confuse it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_uno.explore import InjectionError, assert_cancel_safe
from tests.explore.injection.loops import LOOPS, in_thread, run, run_on


async def nap() -> None:
    await asyncio.sleep(0.001)


def failures_of(*args: Any, **kwargs: Any) -> dict[str, tuple[str, ...]]:
    with pytest.raises(InjectionError) as caught:
        run(assert_cancel_safe(*args, **kwargs))
    return {failure.only: failure.problems for failure in caught.value.failures}


# Swallowed.


async def swallow() -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await nap()


def test_a_swallowed_cancellation_is_found() -> None:
    text = "it has swallowed the cancellation: it returned normally"
    assert failures_of(swallow) == {"wait@1": (text,), "wake@1": (text,)}


async def take_back() -> None:
    try:
        await nap()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()


def test_a_cancellation_that_is_taken_back_is_not_swallowed() -> None:
    assert run(assert_cancel_safe(take_back)) == 2


async def raise_instead() -> None:
    try:
        await nap()
    except asyncio.CancelledError:
        raise LookupError("gone") from None


def test_another_error_in_place_of_the_cancellation_is_found() -> None:
    assert set(failures_of(raise_instead).values()) == {
        ("it raised LookupError: gone in place of the cancellation",)
    }


# What cancels within the operation.


async def end_of_time() -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.sleep(1)
    await nap()


async def end_of_time_with_clean_up() -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            try:
                await asyncio.sleep(1)
            finally:
                await nap()
    await nap()


async def end_of_wait_for() -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(1), 0.01)
    await asyncio.wait_for(nap(), 1)


async def fail() -> None:
    await nap()
    raise ValueError("child")


async def group_that_fails() -> None:
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            group.create_task(asyncio.sleep(1))
            await asyncio.sleep(1)
    await nap()


async def groups_in_groups() -> None:
    async with asyncio.TaskGroup() as outer:
        outer.create_task(nap())
        async with asyncio.timeout(1), asyncio.TaskGroup() as inner:
            inner.create_task(nap())
            inner.create_task(group_that_fails())
        await nap()


async def cancelled_child() -> None:
    task = asyncio.create_task(asyncio.sleep(1))
    try:
        await nap()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def gathered() -> None:
    await asyncio.gather(nap(), asyncio.sleep(0), asyncio.to_thread(int))


@pytest.mark.parametrize(
    "op",
    [
        end_of_time,
        end_of_time_with_clean_up,
        end_of_wait_for,
        group_that_fails,
        groups_in_groups,
        cancelled_child,
        gathered,
    ],
)
def test_what_is_cancelled_within_the_operation_is_its_own_business(op: Any) -> None:
    assert run(assert_cancel_safe(op)) > 0


def test_a_wake_up_by_a_cancellation_is_no_moment() -> None:
    async def stop_early() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()

    # The future of `Event.wait()` is cancelled when the time is up: there is no result to be lost.
    assert run(assert_cancel_safe(stop_early)) == 1


# Tasks.


async def leave_child() -> None:
    task = asyncio.create_task(asyncio.sleep(5), name="poller")
    await nap()
    task.cancel()
    await asyncio.wait([task])


def test_a_task_that_goes_on_is_found_with_its_place() -> None:
    for problems in failures_of(leave_child, moments="wait").values():
        assert problems[0].startswith("left behind: a task that goes on: 'poller', sleep()")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has no eager tasks")
def test_eager_tasks() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - 3.12 and newer
        await assert_cancel_safe(cancelled_child)
        with pytest.raises(InjectionError, match="'poller'"):
            await assert_cancel_safe(leave_child)

    run(main())


def test_a_task_that_ends_in_a_moment_is_fine() -> None:
    async def start_and_stop() -> None:
        task = asyncio.create_task(asyncio.sleep(5))
        try:
            await nap()
        finally:
            task.cancel()

    run(assert_cancel_safe(start_and_stop))


def test_left_tasks_do_not_reach_the_next_run() -> None:
    async def main() -> set[str]:
        with pytest.raises(InjectionError):
            await assert_cancel_safe(leave_child)
        return {task.get_name() for task in asyncio.all_tasks()}

    assert "poller" not in run(main())


def test_tasks_of_others_are_not_the_operations() -> None:
    async def main() -> None:
        started = asyncio.Event()
        spawned: list[asyncio.Task[None]] = []

        async def spawn() -> None:
            while True:
                await started.wait()
                started.clear()
                spawned.append(asyncio.create_task(asyncio.sleep(60)))

        spawner = asyncio.create_task(spawn())

        async def ask() -> None:
            started.set()
            await nap()

        await assert_cancel_safe(ask)
        assert len(spawned) >= 4
        for task in (spawner, *spawned):
            task.cancel()

    run(main())


# Locks.


@pytest.mark.parametrize("kind", [asyncio.Lock, asyncio.Semaphore])
def test_a_lock_that_nobody_releases_is_found(kind: Any) -> None:
    async def hold(world: Any) -> None:
        await world.lock.acquire()
        await nap()
        world.lock.release()

    problems = failures_of(hold, lambda: SimpleNamespace(lock=kind()))
    assert problems["wait@1"] == (f"left behind: world.lock is held: {kind.__name__}",)


def test_a_place_of_many_that_is_lost_is_found() -> None:
    async def hold(world: dict[str, asyncio.Semaphore]) -> None:
        await world["places"].acquire()
        await nap()
        world["places"].release()

    problems = failures_of(hold, lambda: {"places": asyncio.Semaphore(5)}, moments="wake")
    assert problems == {"wake@1": ("left behind: world['places'] is held: Semaphore",)}


def test_a_lock_that_is_meant_to_be_held_is_fine() -> None:
    async def enter(world: list[asyncio.Lock]) -> None:
        await world[0].acquire()
        await nap()

    assert run(assert_cancel_safe(enter, lambda: [asyncio.Lock()])) == 2


# How it runs.


@LOOPS
def test_every_loop_of_asyncio_will_do(kind: str) -> None:
    async def work(world: list[int]) -> None:
        world.append(await in_thread(lambda: 3))
        await asyncio.sleep(0)
        world.append(4)

    def check(world: list[int]) -> bool:
        return len(world) != 1

    with pytest.raises(InjectionError) as caught:
        run_on(kind, assert_cancel_safe(work, list, check))
    assert [failure.only for failure in caught.value.failures] == ["wait@2"]
    assert caught.value.injections == 3
    assert "cancelled while it let others run" in str(caught.value)


def test_each_run_has_a_world_of_its_own() -> None:
    worlds: list[dict[str, int]] = []
    ended: list[int] = []

    def setup() -> dict[str, int]:
        worlds.append({"steps": 0})
        return worlds[-1]

    async def step(world: dict[str, int]) -> None:
        for _ in range(2):
            await nap()
            world["steps"] += 1

    assert run(assert_cancel_safe(step, setup, teardown=lambda world: ended.append(world["steps"]))) == 4
    # Undisturbed twice, then both moments of each await.
    assert ended == [2, 2, 0, 0, 1, 1]
    assert len(worlds) == 6


def test_an_operation_that_is_never_suspended_has_nothing_to_cancel() -> None:
    async def at_once() -> None:
        pass

    assert run(assert_cancel_safe(at_once)) == 0


def test_the_operation_ends_when_its_caller_is_cancelled() -> None:
    steps: list[str] = []

    async def forever(_: None) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            steps.append("cancelled")

    async def main() -> None:
        async with asyncio.timeout(1):
            await assert_cancel_safe(forever, lambda: None, teardown=lambda _: steps.append("torn down"))

    with pytest.raises(TimeoutError):
        run(main())
    assert steps == ["cancelled", "torn down"]


def test_context_variables_of_the_caller_are_seen_and_not_changed() -> None:
    from contextvars import ContextVar

    variable: ContextVar[str] = ContextVar("variable")

    async def change() -> None:
        assert variable.get() == "caller"
        variable.set("operation")
        await nap()

    async def main() -> str:
        variable.set("caller")
        await assert_cancel_safe(change)
        return variable.get()

    assert run(main()) == "caller"
