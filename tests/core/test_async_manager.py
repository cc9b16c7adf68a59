"""AsyncManager: construction, states and start."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine
from typing import Any

import pytest

from pytest_uno.core.async_manager import AsyncManager, get_async_manager
from pytest_uno.core.errors import ManagerClosedError
from tests.core.coroutines import hang, passes
from tests.core.jumping_loop import in_jumping_loop, run

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
