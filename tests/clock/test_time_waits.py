"""Which tasks wait for nothing but the passing of time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from pytest_uno.clock.time_waits import waits_only_for_time
from tests.clock.running import run_virtual
from tests.clock.virtual_test import the_clock


async def nap() -> None:
    await asyncio.sleep(3600)


async def idle() -> None:
    await asyncio.Event().wait()


async def group(*members: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for member in members:
            tasks.create_task(member())


async def wait(*members: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await asyncio.wait([asyncio.create_task(member()) for member in members])


async def gather(*members: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*(member() for member in members))


class Opaque(Coroutine[Any, Any, None]):
    """A coroutine as an extension module makes it: without frames. It waits for a future of its own."""

    def send(self, value: object) -> Any:
        self.future: Any = asyncio.get_running_loop().create_future()
        self.future._asyncio_future_blocking = True
        return self.future

    def throw(self, *exc: Any) -> Any:
        raise asyncio.CancelledError

    def __await__(self) -> Any:
        raise NotImplementedError


def judged(work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Return what is said of a task that waits."""

    async def main() -> bool:
        verdicts: list[bool] = []
        task = asyncio.create_task(work())
        asyncio.get_running_loop().call_later(1, lambda: verdicts.append(waits_only_for_time(task)))
        await asyncio.sleep(2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return verdicts[0]

    return run_virtual(main)[0]


COLLECTIONS: list[Callable[..., Awaitable[None]]] = [group, wait, gather]


@pytest.mark.parametrize("collect", COLLECTIONS)
def test_a_collection_waits_for_time_if_all_of_it_does(
    collect: Callable[..., Coroutine[Any, Any, None]],
) -> None:
    assert judged(lambda: collect(nap, nap))
    assert not judged(lambda: collect(nap, idle))


def test_sleepers_and_those_who_advance_wait_for_time() -> None:
    assert judged(nap)
    assert judged(lambda: the_clock().advance(3600))
    assert not judged(idle)


def test_nothing_is_known_of_a_coroutine_without_frames() -> None:
    assert not judged(Opaque)
