"""The private names of asyncio are there, and mean what the runner takes them for."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from asyncio import runners
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from pytest_uno.harness.asyncio_internals import (
    cancel_all_tasks,
    needs_asyncgen_shutdown,
    needs_executor_shutdown,
    run_at_once,
)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_the_names_are_there(loop: asyncio.AbstractEventLoop) -> None:
    assert callable(getattr(runners, "_cancel_all_tasks", None))
    assert hasattr(loop, "_asyncgens")
    assert hasattr(loop, "_default_executor")


def test_cancelling_all_tasks_waits_for_their_end(loop: asyncio.AbstractEventLoop) -> None:
    steps: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("ended")

    task = loop.create_task(wait())
    loop.run_until_complete(asyncio.sleep(0))
    assert cancel_all_tasks(loop, 60) == set()
    assert steps == ["ended"]
    assert task.cancelled()
    assert cancel_all_tasks(loop, 60) == set()


def test_a_task_that_ignores_its_cancellation_is_given_up(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: seen.append(context))

    async def ignore() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def fail() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("on the way out")

    stubborn, failing = loop.create_task(ignore()), loop.create_task(fail())
    loop.run_until_complete(asyncio.sleep(0))
    assert cancel_all_tasks(loop, 0.001) == {stubborn}
    assert asyncio.all_tasks(loop) == set()
    assert [context["task"] for context in seen] == [failing]
    del stubborn
    loop.close()
    gc.collect()
    assert len(seen) == 1, "it does not complain when it is destroyed"


def test_a_live_async_generator_needs_a_shutdown(loop: asyncio.AbstractEventLoop) -> None:
    async def generate() -> AsyncGenerator[int, None]:
        yield 1

    async def start() -> AsyncGenerator[int, None]:
        generator = generate()
        await anext(generator)
        return generator

    assert not needs_asyncgen_shutdown(loop)
    generator = loop.run_until_complete(start())
    assert needs_asyncgen_shutdown(loop)
    loop.run_until_complete(generator.aclose())
    del generator
    assert not needs_asyncgen_shutdown(loop)


def test_an_executor_needs_a_shutdown(loop: asyncio.AbstractEventLoop) -> None:
    assert not needs_executor_shutdown(loop)
    assert loop.run_until_complete(loop.run_in_executor(None, int)) == 0
    assert needs_executor_shutdown(loop)
    loop.run_until_complete(loop.shutdown_default_executor())


def test_a_loop_that_does_not_say_gets_both() -> None:
    foreign: Any = object()
    assert needs_asyncgen_shutdown(foreign)
    assert needs_executor_shutdown(foreign)


def test_what_waits_for_nothing_runs_at_once() -> None:
    assert run_at_once(_return("value")) == "value"
    with pytest.raises(RuntimeError, match="waits for something"):
        run_at_once(asyncio.sleep(0))


async def _return(value: str) -> str:
    return value
