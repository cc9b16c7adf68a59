"""What a test that is not judged keeps must not be blamed on the next one that is."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import nothing


@pytest.fixture(autouse=True)
def _collected() -> None:
    """Let what earlier tests of the process have left go now, without a word: a test here collects garbage."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def forever() -> None:
    await asyncio.sleep(3600)  # the loop's timer holds the task: no collection may take it


async def boom() -> None:
    raise RuntimeError("boom")


async def collects() -> None:
    gc.collect()


def failed_future(loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
    future = loop.create_future()
    future.set_exception(RuntimeError("lost"))
    return future


@pytest.mark.parametrize("test", [nothing, collects])
@pytest.mark.parametrize("keep", [lambda loop: nothing(), failed_future])
def test_what_a_plain_test_keeps(bench: Any, keep: Callable[[Any], Any], test: Any) -> None:
    assert bench.run_test(nothing, loop_ends=False) == []
    kept = keep(bench.loop)
    bench.detection.note_unjudged()
    assert bench.run_test(test, loop_ends=False) == []
    assert bench.run_test(test) == []
    kept.close() if asyncio.iscoroutine(kept) else kept.exception()


def test_the_judged_test_after_it_is_judged(bench: Any) -> None:
    bench.detection.note_unjudged()
    kept: list[Any] = []

    async def test() -> None:
        kept.append(nothing())
        kept.append(failed_future(asyncio.get_running_loop()))

    assert sorted(finding.rule for finding in bench.run_test(test)) == ["UNO102", "UNO201"]


def test_an_excused_future_that_goes_is_the_loops_to_report(bench: Any) -> None:
    kept = [failed_future(bench.loop)]
    bench.detection.note_unjudged()

    async def test() -> None:
        kept.clear()

    assert bench.run_test(test) == []
    assert [context["message"] for context in bench.unhandled] == ["Future exception was never retrieved"]


def test_tasks_that_an_unjudged_test_leaves_on_a_wide_loop(bench: Any) -> None:
    unjudged = Owner("test", "test_off")
    kept: list[Any] = []

    async def test() -> None:
        kept.append(asyncio.create_task(forever()))
        kept.append(asyncio.create_task(boom()))
        nothing()  # type: ignore[unused-coroutine]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    bench.detection.note_unjudged()
    bench.run_as(unjudged, test)
    unjudged.ended = True
    assert bench.run_test(nothing, loop_ends=False) == []
    assert bench.detection.judge_loop(bench.loop, default_owner=Owner("session", "")) == []
    kept[0].cancel()
    kept[1].exception()
    bench.loop.run_until_complete(asyncio.wait(kept[:1]))


def test_tasks_of_a_fixture_stay_the_fixtures(bench: Any) -> None:
    fixture = Owner("fixture", "hub", "session")

    async def set_up() -> None:
        asyncio.create_task(forever())
        await asyncio.sleep(0)

    bench.run_as(fixture, set_up)
    bench.detection.note_unjudged()
    assert bench.run_test(nothing, loop_ends=False) == []
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert finding.owner.name == "hub"


def test_what_an_unjudged_test_drops_is_not_drained(bench: Any) -> None:
    unjudged, fixture = Owner("test", "test_off"), Owner("fixture", "hub", "session")

    async def drop() -> None:
        nothing()  # type: ignore[unused-coroutine]

    bench.run_as(unjudged, drop)
    bench.run_as(fixture, drop)
    unjudged.ended = True
    bench.detection.note_unjudged()
    assert [finding.owner.name for finding in bench.detection.drain()] == ["hub"]
