"""Whose an open async generator is, and what becomes of it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import LineOf, Test, nothing

KEPT: list[Any] = []
CLOSED: list[str] = []


async def ticks(number: int = 5) -> AsyncGenerator[int, None]:
    try:
        for index in range(number):
            yield index
            await asyncio.sleep(0)
    finally:
        await asyncio.sleep(0)
        CLOSED.append("ticks")


async def forever() -> None:
    await asyncio.sleep(3600)


async def kept() -> None:
    generator = ticks()
    KEPT.append(generator)
    await anext(generator)  # LEAK


async def dropped() -> None:
    generator = ticks()
    await anext(generator)
    del generator
    await asyncio.sleep(0)


async def left_by_break() -> None:
    async for _ in ticks():
        break


@pytest.mark.parametrize("test", [kept, dropped, left_by_break])
def test_what_is_reported_is_closed(bench: Any, test: Test) -> None:
    KEPT.clear()
    CLOSED.clear()
    assert len(bench.run_test(test, loop_ends=False)) == 1
    assert CLOSED == ["ticks"]
    assert asyncio.all_tasks(bench.loop) == set()


def test_a_clean_up_that_hangs_does_not_hang_the_judgement(bench: Any) -> None:
    async def stubborn() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await forever()

    async def test() -> None:
        generator = stubborn()
        KEPT.append(generator)
        await anext(generator)

    assert [finding.rule for finding in bench.run_test(test, loop_ends=False)] == ["UNO202"]
    assert asyncio.all_tasks(bench.loop) == set()
    KEPT.clear()


def test_a_clean_up_that_fails_is_part_of_the_same_leak(bench: Any) -> None:
    async def fails() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise RuntimeError("clean-up")

    async def test() -> None:
        generator = fails()
        KEPT.append(generator)
        await anext(generator)

    assert [finding.rule for finding in bench.run_test(test)] == ["UNO202"]
    KEPT.clear()
    gc.collect()
    assert bench.unhandled == []
    assert bench.run_test(nothing) == []


def test_a_generator_of_a_pending_task_is_a_part_of_it(bench: Any) -> None:
    async def test() -> None:
        async def consume() -> None:
            async for _ in ticks():
                await forever()

        KEPT.append(asyncio.create_task(consume()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert [finding.rule for finding in bench.run_test(test)] == ["UNO101"]
    KEPT.clear()
    assert bench.run_test(nothing) == []


def test_a_generator_that_a_wider_fixture_holds_is_the_fixtures(bench: Any) -> None:
    class Hub:
        stream: Any = None

    hub, fixture = Hub(), Owner("fixture", "hub", "session")
    bench.detection.retain(fixture, hub)

    async def test() -> None:
        hub.stream = ticks()
        await anext(hub.stream)

    assert bench.run_test(test, loop_ends=False) == []
    assert bench.run_test(nothing, loop_ends=False) == []
    bench.loop.run_until_complete(anext(hub.stream))
    fixture.ended = True
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert (finding.rule, finding.owner.name) == ("UNO202", "hub")


def test_the_generator_of_a_wider_fixture_is_reported_at_its_end(bench: Any, line_of: LineOf) -> None:
    fixture = Owner("fixture", "hub", "session")
    KEPT.clear()
    bench.run_as(fixture, kept)
    assert bench.run_test(nothing, loop_ends=False) == []
    fixture.ended = True
    (finding,) = bench.run_test(nothing, loop_ends=False)
    assert (finding.rule, finding.owner.name) == ("UNO202", "hub")
    assert finding.created[0].line == line_of(kept, "# LEAK")
    KEPT.clear()


def test_the_loop_closes_what_is_kept(bench: Any) -> None:
    KEPT.clear()
    CLOSED.clear()
    bench.run_as(None, kept)
    bench.loop.run_until_complete(bench.loop.shutdown_asyncgens())
    assert CLOSED == ["ticks"]
    KEPT.clear()


def test_many_generators_leave_no_trace(bench: Any) -> None:
    async def test() -> None:
        for _ in range(50):
            async for _ in ticks(1):
                pass

    assert bench.run_test(test) == []
    (detector,) = [each for each in bench.detection._further if type(each).__name__ == "OpenGenerators"]
    assert detector._begun == {}


@pytest.mark.parametrize("test", [kept, dropped])
def test_a_leak_on_a_loop_that_was_closed_is_reported(bench: Any, test: Test) -> None:
    async def test_and_a_few_turns() -> None:
        await test()
        for _ in range(5):
            await asyncio.sleep(0)

    KEPT.clear()
    owner = Owner("test", "test")
    snapshot = bench.detection.snapshot(owner)
    bench.run_as(owner, test_and_a_few_turns)
    bench.loop.close()
    owner.ended = True
    findings = bench.detection.compare(snapshot, bench.loop, loop_ends=True)
    assert [finding.rule for finding in findings] == ["UNO202"]
    KEPT.clear()


LIBRARY = """
import contextlib

async def numbers():
    yield 1
    yield 2

async def first():
    async for number in numbers():
        return number

@contextlib.asynccontextmanager
async def connection():
    yield
"""


def test_a_generator_between_libraries_is_theirs_and_their_context_the_user_s(bench: Any) -> None:
    library: dict[str, Any] = {}
    exec(compile(LIBRARY, asyncio.__file__, "exec"), library)

    async def first() -> None:
        assert await library["first"]() == 1

    async def never_left() -> None:
        await library["connection"]().__aenter__()

    assert bench.run_test(first) == []
    assert [finding.target for finding in bench.run_test(never_left)] == ["connection"]
