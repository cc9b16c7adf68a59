"""UNO103, as aiojobs' tests show it: a job that catches its cancellation is done, and is not cancelled."""

from __future__ import annotations

import asyncio


def test_a_job_that_catches_its_cancellation() -> None:
    async def job() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "went on"
        return "was released"

    async def main() -> None:
        task = asyncio.create_task(job())
        await asyncio.sleep(0)
        task.cancel()
        assert await task == "went on"  # and no CancelledError
        assert task.cancelling() == 1
        assert not task.cancelled()

    asyncio.run(main())
