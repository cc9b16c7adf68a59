"""Errors that a library hands to the loop's handler, and that somebody sees after all."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

COLLECTOR = """
async def collect(task):
    try:
        await task
    except Exception:
        pass
"""


class JobError(Exception):
    pass


class Job:
    """Runs a coroutine in a task and hands its error to the loop's handler, as job schedulers do."""

    def __init__(self) -> None:
        self.task = asyncio.create_task(self.work())
        self.task.add_done_callback(self.report)

    async def work(self) -> None:
        raise JobError("no luck")

    def report(self, task: asyncio.Task[None]) -> None:
        context = {"message": "Job failed", "job": self, "exception": task.exception()}
        asyncio.get_running_loop().call_exception_handler(context)


def rules(findings: list[Any]) -> list[str]:
    return [finding.rule for finding in findings]


def test_an_error_that_only_the_handler_saw(bench: Any) -> None:
    async def test() -> None:
        Job()
        await asyncio.sleep(0.01)

    assert rules(bench.run_test(test)) == ["UNO104"]


def test_an_error_that_the_test_caught_later(bench: Any) -> None:
    async def test() -> None:
        job = Job()
        await asyncio.sleep(0.01)
        with pytest.raises(JobError):
            await job.task

    assert bench.run_test(test) == []


def test_an_error_that_only_a_library_caught_later(bench: Any) -> None:
    async def test() -> None:
        job = Job()
        await asyncio.sleep(0.01)
        # One that collects what has failed, as a job scheduler does.
        collecting: dict[str, Any] = {}
        exec(compile(COLLECTOR, asyncio.__file__, "exec"), collecting)
        await collecting["collect"](job.task)

    assert rules(bench.run_test(test)) == ["UNO104"]


def test_a_callback_that_raises_beside_an_error_that_was_caught(bench: Any) -> None:
    def fail() -> None:
        raise KeyError("no such price")

    async def test() -> None:
        job = Job()
        with pytest.raises(JobError):
            await job.task
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0.01)

    assert [finding.subject for finding in bench.run_test(test)] == [
        f"KeyError in callback {fail.__qualname__}()"
    ]


def test_the_error_is_let_go_of(bench: Any) -> None:
    errors: list[weakref.ref[BaseException]] = []

    async def test() -> None:
        job = Job()
        await asyncio.sleep(0.01)
        errors.append(weakref.ref(job.task.exception() or KeyError()))

    assert rules(bench.run_test(test)) == ["UNO104"]
    gc.collect()
    assert [error() for error in errors] == [None]
