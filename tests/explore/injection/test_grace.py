"""A moment's grace: threads get real time, tasks that are being cancelled get turns and some of the loop's time."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from pytest_uno.explore import assert_cancel_safe
from pytest_uno.explore.injection.grace import nap_until, reap
from tests.explore.injection.loops import run


async def linger(turns: int) -> None:
    """Take some turns to end once it is cancelled."""
    try:
        await asyncio.Event().wait()
    finally:
        for _ in range(turns):
            await asyncio.sleep(0)


@pytest.mark.parametrize(("enough", "is_settled"), [(3, True), (10_000, False)])
def test_naps_end_as_soon_as_it_is_settled_or_at_last(enough: int, is_settled: bool) -> None:
    naps: list[float] = []

    assert run(nap_until(lambda: len(naps) >= enough, sleep=naps.append)) is is_settled
    assert len(naps) == 3 or not is_settled


def test_tasks_that_are_slow_to_end_are_awaited() -> None:
    async def main() -> bool:
        task = asyncio.create_task(linger(30))
        await asyncio.sleep(0)
        await reap([task])
        return task.cancelled()

    assert run(main())


def test_what_a_left_task_raises_is_dropped() -> None:
    async def fail_in_clean_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("nobody asks")

    async def main() -> list[str]:
        reported: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context["message"])
        )
        task = asyncio.create_task(fail_in_clean_up())
        await asyncio.sleep(0)
        await reap([task])
        assert task.done()
        del task
        return reported

    assert run(main()) == []


def test_a_cancelled_task_may_take_its_time_to_end() -> None:
    async def cancel_and_go() -> None:
        task = asyncio.create_task(linger(30))
        try:
            await asyncio.sleep(0.001)
        finally:
            task.cancel()

    assert run(assert_cancel_safe(cancel_and_go)) == 2


def test_a_task_that_never_ends_does_not_hold_up_the_rest() -> None:
    async def main() -> bool:
        ended = False

        async def refuse() -> None:
            while not ended:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(1000)

        task = asyncio.create_task(refuse())
        await asyncio.sleep(0)
        await reap([task])
        is_alive = not task.done()
        ended = True
        task.cancel()
        await task
        return is_alive

    assert run(main())
