"""UNO601, as janus' tests show it: a queue for threads, used in the thread of the loop."""

from __future__ import annotations

import asyncio
import queue
import time

import pytest


def test_waits_of_a_queue_for_threads_keep_all_tasks_from_running() -> None:
    turns: list[float] = []

    async def tick() -> None:
        while True:
            turns.append(time.monotonic())
            await asyncio.sleep(0)

    async def main() -> None:
        waiting: queue.Queue[int] = queue.Queue()
        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)
        for _ in range(3):
            with pytest.raises(queue.Empty):
                waiting.get(timeout=0.01)
        await asyncio.sleep(0)
        ticking.cancel()

    asyncio.run(main())
    first, second = turns[:2]
    assert second - first >= 0.03
