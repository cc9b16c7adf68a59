"""What the clean-up of a leak begins ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from pytest_uno.clock.virtual_loop import VirtualEventLoop
from pytest_uno.leaks.model import Finding
from pytest_uno.leaks.owners import Owner
from tests.leaks.conftest import Bench

KEPT: list[object] = []
TURNS = 50
"""More than clean-up is given without a follower."""


def rules(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


async def close_slowly(done: list[str]) -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)
    done.append("closed")


async def work(close: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[int]:
    """Work with something that is closed as SQLAlchemy closes its sessions."""
    try:
        yield 1
        await asyncio.sleep(3600)
    finally:
        closing = asyncio.create_task(close())
        await asyncio.shield(closing)


async def keep_generator(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    generator = work(close)
    KEPT.append(generator)
    await anext(generator)


async def drop_generator(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Leave it to the garbage collection of the judgement."""
    cycle: list[Any] = [work(close)]
    cycle.append(cycle)
    await anext(cycle[0])


async def leave_task(close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def iterate() -> None:
        async for _ in work(close):
            pass

    KEPT.append(asyncio.create_task(iterate()))
    await asyncio.sleep(0)


on_both_loops = pytest.mark.parametrize(
    "bench", [asyncio.SelectorEventLoop, VirtualEventLoop], indirect=True, ids=["real", "virtual"]
)
leaks = pytest.mark.parametrize(
    ("leak", "rule"), [(keep_generator, "UNO202"), (drop_generator, "UNO202"), (leave_task, "UNO101")]
)
Leak = Callable[[Callable[[], Coroutine[Any, Any, None]]], Coroutine[Any, Any, None]]


@on_both_loops
@leaks
def test_a_shielded_clean_up_ends_before_the_next_test(bench: Bench, leak: Leak, rule: str) -> None:
    done: list[str] = []
    assert rules(bench.run_test(lambda: leak(lambda: close_slowly(done)))) == [rule]
    assert done == ["closed"]
    assert not asyncio.all_tasks(bench.loop)


@on_both_loops
@leaks
def test_a_follower_that_does_not_end_is_cancelled(bench: Bench, leak: Leak, rule: str) -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    assert rules(bench.run_test(lambda: leak(wait))) == [rule]
    assert not asyncio.all_tasks(bench.loop)
    assert bench.run_test(nothing) == []


@leaks
def test_the_error_of_a_follower_is_a_part_of_the_leak(bench: Bench, leak: Leak, rule: str) -> None:
    async def fail() -> None:
        await close_slowly([])
        raise ValueError("in clean-up")

    assert rules(bench.run_test(lambda: leak(fail))) == [rule]
    assert bench.run_test(nothing) == []


def test_what_others_begin_meanwhile_goes_on(bench: Bench) -> None:
    """A server of the session serves while a test's leak is cleaned up."""
    served: list[asyncio.Task[None]] = []
    session = Owner("session", "server")

    async def serve() -> None:
        while True:
            if not served:
                served.append(asyncio.create_task(asyncio.Event().wait()))  # type: ignore[arg-type]
            await asyncio.sleep(0)

    async def start() -> asyncio.Task[None]:
        return asyncio.create_task(serve())

    server = bench.run_as(session, start)
    served.append(server)

    async def close() -> None:
        served.clear()
        await close_slowly([])

    assert rules(bench.run_test(lambda: keep_generator(close), loop_ends=False)) == ["UNO202"]
    assert not server.done()
    assert not served[0].done()
    for task in (server, served[0]):
        task.cancel()
    bench.run_as(None, lambda: asyncio.wait([server, *served]))


async def nothing() -> None:
    """Leave nothing."""
