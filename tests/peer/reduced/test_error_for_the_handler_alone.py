"""UNO104, as aiojobs' tests show it: an exception goes to the loop's handler, and to nobody else."""

from __future__ import annotations

import asyncio
from typing import Any


def test_a_job_whose_error_nobody_awaits() -> None:
    seen: list[Any] = []

    async def job() -> None:
        raise RuntimeError("no luck")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))

        def report(task: asyncio.Task[None]) -> None:
            loop.call_exception_handler({"message": "Job failed", "exception": task.exception()})

        task = asyncio.create_task(job())
        task.add_done_callback(report)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert task.done()

    asyncio.run(main())  # succeeds
    assert [str(error) for error in seen] == ["no luck"]
