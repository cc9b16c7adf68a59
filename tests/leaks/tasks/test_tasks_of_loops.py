"""Tasks that a library keeps until the loop ends."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import anyio.to_process
import pytest


def end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left, as a runner does before it closes its loop."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


@pytest.mark.parametrize("loop_ends", [True, False])
def test_the_process_pool_of_anyio_is_no_leak(bench: Any, loop_ends: bool) -> None:
    async def test() -> None:
        assert await anyio.to_process.run_sync(os.getpid) != os.getpid()

    findings = bench.run_test(test, loop_ends=loop_ends)
    waiting = [task.get_name() for task in asyncio.all_tasks(bench.loop)]
    end_tasks(bench.loop)
    assert findings == []
    assert waiting == ["AnyIO process pool shutdown task"]


def test_a_function_of_that_name_elsewhere_is_judged(bench: Any) -> None:
    async def _shutdown_process_pool_on_exit() -> None:
        await asyncio.Event().wait()

    async def test() -> None:
        asyncio.create_task(_shutdown_process_pool_on_exit())

    assert [finding.rule for finding in bench.run_test(test)] == ["UNO101"]
