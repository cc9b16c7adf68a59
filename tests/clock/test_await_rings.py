"""Deadlocks of tasks that await each other: plain asyncio cannot cancel most of them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from pytest_uno import DeadlockError
from pytest_uno.clock import Budgets, VirtualEventLoop
from pytest_uno.clock.await_rings import leads_to
from tests.clock.running import run_virtual
from tests.clock.virtual_test import the_clock

NO_GRACE = Budgets(deadlock_grace=0, deadlock_patience=0)


def message_of(main: Callable[[], Awaitable[object]]) -> str:
    """Return the message of the deadlock that `main` ends in."""
    with pytest.raises(DeadlockError) as caught:
        run_virtual(main, budgets=NO_GRACE)
    return str(caught.value)


async def idle() -> None:
    await asyncio.Event().wait()


Ring = list[asyncio.Task[Any]]


async def await_next(ring: Ring, index: int) -> None:
    await asyncio.sleep(0)
    await ring[(index + 1) % len(ring)]


async def gather_next(ring: Ring, index: int) -> None:
    await asyncio.sleep(0)
    await asyncio.gather(ring[(index + 1) % len(ring)], asyncio.sleep(1))


async def shield_next(ring: Ring, index: int) -> None:
    await asyncio.sleep(0)
    await asyncio.shield(ring[(index + 1) % len(ring)])


async def wait_for_next(ring: Ring, index: int) -> None:
    await asyncio.sleep(0)
    await asyncio.wait_for(ring[(index + 1) % len(ring)], None)


async def wait_next(ring: Ring, index: int) -> None:
    await asyncio.sleep(0)
    await asyncio.wait([ring[(index + 1) % len(ring)]])


Link = Callable[[Ring, int], Coroutine[Any, Any, None]]


@pytest.mark.parametrize("links", [2, 3])
@pytest.mark.parametrize("link", [await_next, gather_next, shield_next, wait_for_next, wait_next])
@pytest.mark.parametrize("is_outside", [False, True])
def test_a_ring_of_tasks(link: Link, links: int, is_outside: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        ring: Ring = []
        for index in range(links):
            ring.append(asyncio.create_task(link(ring, index), name=f"link {index}"))
        await (idle() if is_outside else ring[0])

    text = message_of(main)
    cycle = " -> ".join(f"'link {index}'" for index in [*range(links), 0])
    assert f"cycle: {cycle}" in text
    gc.collect()
    assert [record.getMessage() for record in caplog.records] == [], "nothing is left unretrieved"


def test_a_ring_elsewhere_keeps_nobody_from_unwinding() -> None:
    log: list[str] = []

    async def main() -> None:
        ring: Ring = []
        ring += [asyncio.create_task(await_next(ring, index)) for index in range(2)]
        try:
            await idle()
        finally:
            await asyncio.sleep(5)
            log.append("cleaned up")

    with asyncio.Runner(loop_factory=lambda: VirtualEventLoop(budgets=NO_GRACE)) as runner:
        with pytest.raises(DeadlockError):
            runner.run(main())
        assert log == ["cleaned up"]


def test_a_ring_unwinds() -> None:
    log: list[int] = []

    async def link(ring: Ring, index: int) -> None:
        try:
            await await_next(ring, index)
        finally:
            log.append(index)

    async def main() -> None:
        ring: Ring = []
        ring += [asyncio.create_task(link(ring, index)) for index in range(4)]
        await ring[0]

    message_of(main)
    assert sorted(log) == [0, 1, 2, 3]


def test_a_long_ring_with_a_tail() -> None:
    async def main() -> None:
        ring: Ring = []
        for index in range(2000):
            ring.append(asyncio.create_task(await_next(ring, index)))
        tail = asyncio.create_task(asyncio.wait_for(ring[1000], None), name="tail")
        await asyncio.gather(tail, return_exceptions=True)
        await tail

    assert "2002 tasks" in message_of(main)


def test_rings_that_share_a_task_and_a_gather() -> None:
    async def gather_both(ring: Ring) -> None:
        await asyncio.sleep(0)
        await asyncio.gather(asyncio.gather(ring[1]), ring[2])

    async def main() -> None:
        ring: Ring = []
        ring.append(asyncio.create_task(gather_both(ring), name="both"))
        for index in (1, 2):
            ring.append(asyncio.create_task(asyncio.wait_for(ring[0], None), name=f"{index}"))
        await asyncio.sleep(1)
        await ring[0]

    assert "cycle: '2' -> 'both' -> '2'" in message_of(main)


def test_the_clean_up_of_a_ring_is_not_cancelled() -> None:
    log: list[str] = []

    async def link(ring: Ring, index: int) -> None:
        try:
            await await_next(ring, index)
        finally:
            await asyncio.sleep(5)
            log.append("cleaned up")

    async def main() -> None:
        ring: Ring = []
        ring += [asyncio.create_task(link(ring, index)) for index in range(3)]
        await ring[0]

    message_of(main)
    assert log == ["cleaned up"] * 3


def test_where_a_cancellation_leads() -> None:
    async def pass_on(task: asyncio.Task[None]) -> None:
        await task

    async def main() -> None:
        last, other = asyncio.create_task(idle()), asyncio.create_task(idle())
        gathering = asyncio.gather(*(asyncio.create_task(pass_on(last)) for _ in range(2)))
        await the_clock().settle()
        assert leads_to(gathering, [last])
        assert leads_to(last, [last])
        assert not leads_to(gathering, [other])
        assert not leads_to(gathering, [])
        other.cancel()
        gathering.cancel()

    run_virtual(main)
