"""What `VirtualClock.picture` shows: the waits for the clock itself, and the main task before all others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.core.errors import DeadlockError
from tests.clock.running import run_virtual
from tests.clock.tickers import running_clock


async def picture_beside(waiting: Awaitable[None], name: str) -> str:
    """Draw while a task waits."""

    async def wait() -> None:
        await waiting

    task = asyncio.create_task(wait(), name=name)
    await asyncio.sleep(0)
    picture = running_clock().picture()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return picture


def test_advance_says_until_when() -> None:
    async def main() -> str:
        await asyncio.sleep(2)
        return await picture_beside(running_clock().advance(10), "steering")

    text, _ = run_virtual(main)
    assert "task 'steering' (picture_beside.<locals>.wait) waits for uno_clock.advance() until 12 s\n" in text


def test_settle_is_named() -> None:
    async def main() -> str:
        return await picture_beside(running_clock().settle(), "settling")

    text, _ = run_virtual(main)
    assert "task 'settling' (picture_beside.<locals>.wait) waits for uno_clock.settle()\n" in text


def deadlock_of(count: int) -> str:
    async def forever(lock: asyncio.Lock | None = None, other: asyncio.Lock | None = None) -> None:
        if lock is None or other is None:
            await asyncio.Event().wait()
            return
        async with lock:
            await asyncio.sleep(1)
            async with other:
                pass

    async def main() -> None:
        one, two = asyncio.Lock(), asyncio.Lock()
        tasks = [asyncio.create_task(forever(), name=f"idle {number}") for number in range(count)]
        tasks.append(asyncio.create_task(forever(one, two), name="ring one"))
        tasks.append(asyncio.create_task(forever(two, one), name="ring two"))
        current = asyncio.current_task()
        assert current is not None
        current.set_name("the root")
        await asyncio.gather(*tasks)

    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner, pytest.raises(DeadlockError) as caught:
        runner.run(main())
    return str(caught.value)


def test_the_main_task_comes_first() -> None:
    lines = [line for line in deadlock_of(3).splitlines() if line.startswith("  task ")]
    assert [line.split("'")[1] for line in lines] == [
        "the root",
        "idle 0",
        "idle 1",
        "idle 2",
        "ring one",
        "ring two",
    ]


def test_of_very_many_tasks_fifty_are_shown() -> None:
    text = deadlock_of(1000)
    lines = [line for line in text.splitlines() if line.startswith("  task ")]
    assert len(lines) == 50
    assert [line.split("'")[1] for line in lines[:3]] == ["the root", "ring one", "ring two"]
    assert "1003 tasks\n" in text
    assert "  and 953 more\n  cycle: 'ring one' -> 'ring two' -> 'ring one'\n" in text
    assert "gather of 1002 tasks (1002 unfinished: " in lines[0]
    assert lines[0].endswith(", 982 more)")
