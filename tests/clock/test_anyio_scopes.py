from __future__ import annotations

import asyncio

import anyio

from tests.clock.virtual_test import in_virtual_time, the_clock


def now() -> float:
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_anyio_moves_on() -> None:
    with anyio.move_on_after(1) as outer, anyio.move_on_after(1) as inner:
        await anyio.sleep(5)
    assert (outer.cancelled_caught, inner.cancelled_caught) == (True, False)
    assert anyio.current_time() == now() == 1
    with anyio.move_on_after(1) as scope:
        await anyio.sleep(0.5)
        scope.deadline += 10
        await anyio.sleep(10)
    assert not scope.cancelled_caught
    assert now() == 11.5
    await anyio.sleep_until(20)
    assert now() == 20


@in_virtual_time
async def test_anyio_compares_deadlines_bit_by_bit() -> None:
    # 0.1 + 0.2 is more than the moment 0.3, at which its timer fires.
    await anyio.sleep(0.1)
    with anyio.move_on_after(0.2) as scope:
        assert scope.deadline > 0.3
        await anyio.sleep(10)
    assert scope.cancelled_caught
    assert scope.deadline == now()
    assert the_clock().elapsed == 0.3
    await asyncio.sleep(0.1)
    assert now() == 0.4


@in_virtual_time
async def test_advance_fires_a_scope_of_its_own_length() -> None:
    async def work() -> None:
        with anyio.fail_after(0.2):
            await anyio.sleep_forever()

    await asyncio.sleep(0.1)
    working = asyncio.create_task(work())
    await the_clock().settle()
    with the_clock().paused():
        await the_clock().advance(0.2)
    assert isinstance(working.exception(), TimeoutError)


@in_virtual_time
async def test_anyio_shields_and_groups() -> None:
    ended: list[tuple[str, float]] = []

    async def child(name: str, shield: bool) -> None:
        with anyio.CancelScope(shield=shield):
            try:
                await anyio.sleep(10)
            finally:
                ended.append((name, now()))

    with anyio.move_on_after(3):
        async with anyio.create_task_group() as group:
            group.start_soon(child, "bare", False)
            group.start_soon(child, "shielded", True)
    assert ended == [("bare", 3), ("shielded", 10)]
