"""AsyncManager.enter(): resources that are asynchronous context managers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import anyio
import pytest

from pytest_uno.core.async_manager import AsyncManager, get_async_manager
from pytest_uno.core.errors import ManagerClosedError, ResourceError
from tests.core.jumping_loop import in_jumping_loop


@in_jumping_loop
async def test_entering_and_leaving_happen_in_one_task_of_their_own() -> None:
    manager = AsyncManager("app")
    seen: list[object] = []

    @contextlib.asynccontextmanager
    async def resource() -> AsyncIterator[str]:
        seen.append(asyncio.current_task())
        seen.append(get_async_manager())
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            yield "value"
            group.cancel_scope.cancel()
        seen.append(asyncio.current_task())

    assert await manager.enter_resource(resource(), "db") == "value"
    assert dict(manager.resources) == {"db": "value"}
    assert manager.tasks == frozenset()
    with pytest.raises(ValueError):
        await manager.enter_resource(resource(), "db")
    await manager.shutdown()
    assert seen[0] is seen[2] is not asyncio.current_task()
    assert seen[1] is manager
    assert isinstance(seen[0], asyncio.Task)
    assert seen[0].get_name() == "app/resource:db"


@in_jumping_loop
async def test_an_entered_resource_is_closed_by_name_or_value_but_not_given_back() -> None:
    manager = AsyncManager()
    left: list[str] = []

    @contextlib.asynccontextmanager
    async def resource(name: str) -> AsyncIterator[list[str]]:
        try:
            yield [name]
        finally:
            left.append(name)

    one = await manager.enter_resource(resource("one"))
    await manager.enter_resource(resource("two"), "two")
    with pytest.raises(RuntimeError, match="cannot be given back"):
        await manager.unregister_resource(one)
    await manager.close_resource(one)
    await manager.close_resource("two")
    assert left == ["one", "two"]


@in_jumping_loop
async def test_what_entering_raises_is_raised_and_the_name_is_free() -> None:
    manager = AsyncManager()

    @contextlib.asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        await asyncio.sleep(0)
        raise OSError("refused")
        yield

    for _ in range(2):
        with pytest.raises(OSError, match="refused"):
            await manager.enter_resource(broken(), "db")
    await manager.shutdown()


@in_jumping_loop
async def test_entering_that_is_cancelled_from_within_does_not_look_like_a_cancelled_caller() -> None:
    manager = AsyncManager()

    @contextlib.asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        raise asyncio.CancelledError
        yield

    with pytest.raises(ResourceError, match="was cancelled from within"):
        await manager.enter_resource(broken())


@in_jumping_loop
async def test_a_cancelled_caller_ends_the_entering_and_waits_for_it() -> None:
    manager = AsyncManager()
    ended: list[bool] = []

    @contextlib.asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        try:
            await asyncio.Event().wait()
            yield
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    task = asyncio.create_task(manager.enter_resource(slow(), "slow"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert dict(manager.resources) == {}  # the name is taken, but nothing is open
    with pytest.raises(ValueError):
        await manager.register_resource([], "slow", close=print)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]
    await manager.register_resource([], "slow", close=lambda: None)


@pytest.mark.parametrize("cleanup_fails", [False, True])
def test_a_shutdown_while_entering_ends_it(cleanup_fails: bool) -> None:
    async def main() -> None:
        manager = AsyncManager("app")
        ended: list[bool] = []

        @contextlib.asynccontextmanager
        async def slow() -> AsyncIterator[None]:
            try:
                await asyncio.Event().wait()
                yield
            finally:
                ended.append(True)
                if cleanup_fails:
                    raise OSError("cleaning up")

        task = asyncio.create_task(manager.enter_resource(slow(), "slow"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if cleanup_fails:
            with pytest.raises(ExceptionGroup) as caught:
                await manager.shutdown()
            assert str(caught.value.exceptions[0]) == "cleaning up"
        else:
            await manager.shutdown()
        with pytest.raises(ManagerClosedError, match="'slow' of manager 'app' was closed while it was being"):
            await task
        assert ended == [True]

    asyncio.run(main())


@in_jumping_loop
async def test_a_caller_that_is_cancelled_when_the_shutdown_has_taken_over_just_ends() -> None:
    manager = AsyncManager()
    go_on = asyncio.Event()

    @contextlib.asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        try:
            await asyncio.Event().wait()
            yield
        finally:
            await go_on.wait()

    task = asyncio.create_task(manager.enter_resource(slow()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ending = asyncio.create_task(manager.shutdown())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await ending


@in_jumping_loop
async def test_an_entered_resource_that_dies_is_reported_and_raised_at_shutdown() -> None:
    reported: list[str] = []
    manager = AsyncManager(on_task_error=lambda task, exc: reported.append(task.get_name()))
    error = OSError("connection lost")

    async def background() -> None:
        raise error

    @contextlib.asynccontextmanager
    async def resource() -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(background())
            yield

    await manager.enter_resource(resource(), "db")
    for _ in range(10):
        await asyncio.sleep(0)
    assert reported == [f"{manager.name}/resource:db"]
    with pytest.raises(ExceptionGroup) as caught:
        await manager.shutdown()
    inner = caught.value.exceptions[0]
    assert isinstance(inner, ExceptionGroup)
    assert inner.exceptions == (error,)
