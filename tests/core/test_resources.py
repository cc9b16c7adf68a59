from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_uno.core.async_manager import AsyncManager, use_manager
from pytest_uno.core.resource_observer import notify_closed, notify_opened, set_resource_observer
from pytest_uno.core.resources import AsyncResource

pytestmark = pytest.mark.asyncio


class Recorder(AsyncResource):
    def __init__(self, name: str | None = None, **errors: BaseException) -> None:
        super().__init__(name)
        self.errors = errors
        self.calls: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def _initialize(self) -> None:
        self.calls.append("open")
        await self.gate.wait()
        if "open" in self.errors:
            raise self.errors["open"]

    async def _cleanup(self) -> None:
        await self.gate.wait()
        self.calls.append("close")
        if "close" in self.errors:
            raise self.errors["close"]


class Observer:
    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def opened(self, resource: object, *, name: str, manager_name: str) -> None:
        self.seen.append(("opened", resource, name, manager_name))

    def closed(self, resource: object) -> None:
        self.seen.append(("closed", resource))


@pytest.fixture
def observer() -> Iterator[Observer]:
    observer = Observer()
    previous = set_resource_observer(observer)
    yield observer
    assert set_resource_observer(previous) is observer


@pytest.fixture
def manager() -> Iterator[AsyncManager]:
    with use_manager(AsyncManager("mine")) as manager:
        yield manager


async def test_an_open_resource_is_listed(manager: AsyncManager, observer: Observer) -> None:
    resource = Recorder("mailbox")
    assert repr(resource) == "<Recorder 'mailbox' new>"
    async with resource as same:
        assert same is resource
        assert resource.is_open
        assert repr(resource) == "<Recorder 'mailbox' open>"
        assert manager.open_resources == (resource,)
        assert observer.seen == [("opened", resource, "mailbox", "mine")]
    assert not resource.is_open
    assert repr(resource) == "<Recorder 'mailbox' closed>"
    assert manager.open_resources == ()
    assert observer.seen[1:] == [("closed", resource)]
    assert resource.calls == ["open", "close"]


async def test_the_base_class_alone() -> None:
    async with AsyncResource() as resource:
        assert resource.name == "AsyncResource"


async def test_closing_is_idempotent_and_final(observer: Observer) -> None:
    resource = Recorder()
    await resource.close()  # never opened: nothing to clean up
    assert resource.calls == []
    with pytest.raises(RuntimeError, match="cannot be opened again"):
        await resource.__aenter__()
    resource = Recorder()
    async with resource:
        await resource.close()
        await resource.close()
    assert resource.calls == ["open", "close"]
    assert len(observer.seen) == 2


async def test_opening_at_the_same_time_opens_once() -> None:
    resource = Recorder()
    resource.gate.clear()
    tasks = [asyncio.create_task(resource.__aenter__()) for _ in range(3)]
    await asyncio.sleep(0)
    resource.gate.set()
    assert await asyncio.gather(*tasks) == [resource] * 3
    await resource.close()
    assert resource.calls == ["open", "close"]


async def test_a_failed_opening_is_cleaned_up(manager: AsyncManager, observer: Observer) -> None:
    resource = Recorder(open=ValueError("no"), close=KeyError("neither"))
    with pytest.raises(ValueError, match="no") as caught:
        await resource.__aenter__()
    assert caught.value.__notes__ == ["_cleanup() of 'Recorder' failed as well: KeyError('neither')"]
    assert resource.calls == ["open", "close"]
    assert not resource.is_open
    assert manager.open_resources == ()
    assert observer.seen == []
    with pytest.raises(RuntimeError, match="cannot be opened again"):
        await resource.__aenter__()


async def test_a_cancelled_opening_is_cleaned_up() -> None:
    resource = Recorder()
    resource.gate.clear()
    task = asyncio.create_task(resource.__aenter__())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # into the clean-up
    await asyncio.sleep(0)
    assert not task.done()
    resource.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert resource.calls == ["open", "close"]


async def test_close_errors_are_raised(manager: AsyncManager, observer: Observer) -> None:
    resource = Recorder(close=ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        async with resource:
            pass
    assert not resource.is_open
    assert manager.open_resources == ()
    assert observer.seen[-1] == ("closed", resource)
    with pytest.raises(ValueError, match="broken") as caught:
        async with Recorder(close=ValueError("broken")):
            raise KeyError
    assert isinstance(caught.value.__context__, KeyError)


async def test_a_close_error_does_not_swallow_a_cancellation() -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))

    async def work() -> None:
        async with Recorder(close=ValueError("broken")):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert caught.value.__notes__ == ["_cleanup() of 'Recorder' failed: ValueError('broken')"]
    assert [str(report["exception"]) for report in reports] == ["broken"]


async def test_without_an_observer_nothing_happens() -> None:
    previous = set_resource_observer(None)
    try:
        notify_opened(object(), name="x", manager_name="y")
        notify_closed(object())
    finally:
        set_resource_observer(previous)
