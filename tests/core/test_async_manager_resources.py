"""AsyncManager: registering, entering, closing and giving back resources, and how objects are closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from pytest_uno.core.async_manager import AsyncManager, get_async_manager
from pytest_uno.core.closers import find_closer
from pytest_uno.core.errors import ManagerClosedError, ResourceError, TaskLeakError
from pytest_uno.core.resource_observer import set_resource_observer
from pytest_uno.core.resources import AsyncResource
from tests.core.jumping_loop import in_jumping_loop


class Closeable:
    """Has whichever methods it is told to, and notes their calls."""

    def __init__(self, *methods: str, asynchronous: bool = False) -> None:
        self.called: list[str] = []
        for method in methods:
            setattr(self, method, self._make(method, asynchronous))

    def _make(self, name: str, asynchronous: bool) -> Any:
        async def call_async() -> None:
            await asyncio.sleep(0)
            self.called.append(name)

        return call_async if asynchronous else lambda: self.called.append(name)


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


# ---------------------------------------------------------------------------------------------- closers


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("methods", "called"),
    [
        (("stop", "dispose", "shutdown", "close", "aclose"), ["aclose"]),
        (("stop", "dispose", "shutdown", "close"), ["close"]),
        (("stop", "dispose", "shutdown"), ["shutdown"]),
        (("stop", "dispose"), ["dispose"]),
        (("stop",), ["stop"]),
        (("wait_closed", "close"), ["close", "wait_closed"]),
        (("wait_closed", "stop"), ["stop"]),
    ],
)
def test_closers_are_tried_in_order(methods: tuple[str, ...], called: list[str], asynchronous: bool) -> None:
    async def main() -> None:
        manager = AsyncManager()
        resource = await manager.register_resource(Closeable(*methods, asynchronous=asynchronous))
        await manager.shutdown()
        assert resource.called == called

    asyncio.run(main())


@in_jumping_loop
async def test_context_managers_are_left_without_an_error() -> None:
    left: list[tuple[object, ...]] = []

    class Async:
        async def __aexit__(self, *exc_info: object) -> None:
            left.append(exc_info)

    class Sync:
        def __exit__(self, *exc_info: object) -> None:
            left.append(exc_info)

    async with AsyncManager() as manager:
        await manager.register_resource(Async())
        await manager.register_resource(Sync())
    assert left == [(None, None, None)] * 2


def test_methods_that_cannot_be_called_are_no_closers() -> None:
    resource = Closeable("dispose")
    resource.close = True  # type: ignore[attr-defined]
    find_closer(resource)()
    assert resource.called == ["dispose"]


@in_jumping_loop
async def test_a_server_is_closed_to_its_end() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with AsyncManager() as manager:
        await manager.register_resource(server)
    assert not server.is_serving()


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


# ---------------------------------------------------------------------------------------------- entering


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
