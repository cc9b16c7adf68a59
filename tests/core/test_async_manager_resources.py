"""The resources of an AsyncManager: registering, closing, observing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_uno.core.async_manager import AsyncManager, get_async_manager
from pytest_uno.core.errors import ManagerClosedError, ResourceError, TaskLeakError
from pytest_uno.core.resource_observer import set_resource_observer
from pytest_uno.core.resources import AsyncResource
from tests.core.closeable import Closeable
from tests.core.jumping_loop import in_jumping_loop


class Observer:
    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def opened(self, resource: object, *, name: str, manager_name: str) -> None:
        self.seen.append(("opened", resource, name, manager_name))

    def closed(self, resource: object) -> None:
        self.seen.append(("closed", resource))


@pytest.fixture
def observed() -> Iterator[list[tuple[Any, ...]]]:
    observer = Observer()
    previous = set_resource_observer(observer)
    yield observer.seen
    set_resource_observer(previous)


# ---------------------------------------------------------------------------------------------- registering


@in_jumping_loop
async def test_what_cannot_be_closed_is_refused_at_once() -> None:
    manager = AsyncManager()
    with pytest.raises(TypeError, match="it has none of aclose, close, shutdown"):
        await manager.register_resource(object())
    assert dict(manager.resources) == {}


@in_jumping_loop
async def test_registering_returns_and_lists_the_resource() -> None:
    manager = AsyncManager()
    first, second, third = Closeable("close"), Closeable("close"), Closeable("close")
    assert await manager.register_resource(first) is first
    await manager.register_resource(second)
    await manager.register_resource(third, "db")
    assert list(manager.resources.items()) == [("Closeable", first), ("Closeable-2", second), ("db", third)]
    with pytest.raises(TypeError):
        manager.resources["x"] = 1  # type: ignore[index]
    await manager.shutdown()
    assert dict(manager.resources) == {}


@in_jumping_loop
async def test_names_are_unique_and_the_same_object_again_is_a_no_op() -> None:
    manager = AsyncManager("app")
    resource = Closeable("close")
    await manager.register_resource(resource, "db")
    assert await manager.register_resource(resource) is resource
    assert await manager.register_resource(resource, "db") is resource
    with pytest.raises(ValueError, match="manager 'app' already has a resource named 'db'"):
        await manager.register_resource(Closeable("close"), "db")
    with pytest.raises(ValueError, match="already registered in 'app' as 'db'"):
        await manager.register_resource(resource, "other")
    await manager.shutdown()
    assert resource.called == ["close"]


@in_jumping_loop
async def test_a_closer_of_your_own_wins() -> None:
    manager = AsyncManager()
    resource = Closeable("close")
    seen = []

    async def close() -> None:
        seen.append(get_async_manager())

    await manager.register_resource(resource, close=close)
    await manager.shutdown()
    assert seen == [manager]
    assert resource.called == []


@in_jumping_loop
async def test_a_closed_manager_takes_no_resources() -> None:
    manager = AsyncManager()
    await manager.shutdown()
    with pytest.raises(ManagerClosedError):
        await manager.register_resource(Closeable("close"))
    with pytest.raises(ManagerClosedError):
        await manager.enter_resource(contextlib.nullcontext())


@in_jumping_loop
async def test_a_resource_can_be_given_back() -> None:
    manager = AsyncManager()
    one, two = Closeable("close"), Closeable("close")
    await manager.register_resource(one)
    await manager.register_resource(two, "two")
    assert await manager.unregister_resource(one) is True
    assert await manager.unregister_resource("two") is True
    assert await manager.unregister_resource(one) is False
    await manager.shutdown()
    assert one.called == two.called == []


# ---------------------------------------------------------------------------------------------- closing one


@in_jumping_loop
async def test_one_resource_is_closed_now_and_not_again() -> None:
    manager = AsyncManager("app")
    one, two = Closeable("close"), Closeable("aclose", asynchronous=True)
    await manager.register_resource(one)
    await manager.register_resource(two, "two")
    await manager.close_resource(one)
    await manager.close_resource("two")
    with pytest.raises(LookupError, match="manager 'app' has no resource 'two'") as caught:
        await manager.close_resource("two")
    assert "none is registered" in str(caught.value)
    await manager.shutdown()
    assert (one.called, two.called) == (["close"], ["aclose"])


@in_jumping_loop
async def test_an_error_of_closing_is_raised_and_the_resource_is_gone() -> None:
    manager = AsyncManager("app")
    await manager.register_resource([], "list", close=lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        await manager.close_resource("list")
    assert caught.value.__notes__ == ["raised by closing resource 'list' of 'app'"]
    assert dict(manager.resources) == {}


@in_jumping_loop
async def test_closing_one_is_bounded() -> None:
    manager = AsyncManager(close_timeout=5)
    loop = asyncio.get_running_loop()
    for timeout, expected in ((None, 5), (2.0, 2)):
        await manager.register_resource([], "slow", close=asyncio.Event().wait, timeout=timeout)
        before = loop.time()
        with pytest.raises(TimeoutError, match=f"did not end within {expected} s"):
            await manager.close_resource("slow")
        assert loop.time() - before == expected


@in_jumping_loop
async def test_a_cancelled_caller_does_not_break_the_closing_off() -> None:
    manager = AsyncManager()
    go_on, closed = asyncio.Event(), []

    async def close() -> None:
        await go_on.wait()
        closed.append(True)

    await manager.register_resource([], "slow", close=close)
    task = asyncio.create_task(manager.close_resource("slow"))
    await asyncio.sleep(0)
    task.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [True]


@in_jumping_loop
async def test_what_raises_no_exception_becomes_a_resource_error() -> None:
    manager = AsyncManager()

    def cancelled() -> None:
        raise asyncio.CancelledError

    async def stopped() -> None:
        raise GeneratorExit

    await manager.register_resource([], "cancelled", close=cancelled)
    with pytest.raises(ResourceError, match=r"'cancelled' of '.*' was cancelled"):
        await manager.close_resource("cancelled")
    await manager.register_resource([], "stopped", close=stopped)
    with pytest.raises(ResourceError, match="GeneratorExit") as caught:
        await manager.close_resource("stopped")
    assert isinstance(caught.value.__cause__, GeneratorExit)


@in_jumping_loop
async def test_a_closer_that_ignores_its_cancellation_is_named_with_its_line() -> None:
    manager = AsyncManager()
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    await manager.register_resource([], "stubborn", close=stubborn)
    with pytest.raises(TaskLeakError, match=rf"{__name__.split('.')[-1]}\.py:\d+ in .*stubborn") as caught:
        await manager.close_resource("stubborn")
    release.set()
    await asyncio.wait(caught.value.tasks)


@in_jumping_loop
async def test_late_but_successful_is_still_late() -> None:
    manager = AsyncManager()

    async def tidies_up() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    await manager.register_resource([], "slow", close=tidies_up)
    with pytest.raises(TimeoutError):
        await manager.close_resource("slow")


# ---------------------------------------------------------------------------------------------- observing


@in_jumping_loop
async def test_the_observer_is_told_of_every_opening_and_closing(observed: list[tuple[Any, ...]]) -> None:
    manager = AsyncManager("app")
    value = Closeable("close")
    await manager.register_resource(value, "a")
    await manager.register_resource(value, "a")
    await manager.unregister_resource(value)
    await manager.register_resource(value, "b", close=lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await manager.close_resource(value)
    await manager.enter_resource(contextlib.nullcontext(value), "c")
    cm: contextlib.nullcontext[None] = contextlib.nullcontext()
    await manager.enter_resource(cm, "d")
    await manager.shutdown()
    assert observed == [
        ("opened", value, "a", "app"),
        ("closed", value),
        ("opened", value, "b", "app"),
        ("closed", value),
        ("opened", value, "c", "app"),
        ("opened", cm, "d", "app"),
        ("closed", cm),
        ("closed", value),
    ]


@in_jumping_loop
async def test_open_async_resources_are_listed_by_their_manager() -> None:
    async with AsyncManager() as manager:
        resource = AsyncResource("db")
        manager.note_closed(resource)  # never opened: nothing to forget
        async with resource:
            assert manager.open_resources == (resource,)
            async with AsyncResource("cache") as other:
                assert set(manager.open_resources) == {resource, other}
        assert len(manager.open_resources) == 0
    unbound = AsyncManager()
    unbound.note_opened(resource)
    assert unbound.used
