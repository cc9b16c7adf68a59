"""Blocked loops, watched for real: a test here blocks until that was seen, however busy the machine."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import re
import sys
import time
import types
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.leaks.blocking.blocked_loop import BlockedLoop
from pytest_uno.leaks.blocking.lookout import Lookout
from pytest_uno.leaks.detection import LeakDetection
from pytest_uno.leaks.model import Finding
from pytest_uno.leaks.owners import OWNER, Owner
from tests.leaks.examples import LineOf

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).relative_to(ROOT).as_posix()
_ENOUGH = 30.0


class Bench:
    """A loop that may be blocked for some milliseconds, and tests on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, block_ms: float) -> None:
        self.loop = loop
        self.detection = LeakDetection(root=ROOT, block_ms=block_ms)
        self.detection.install()
        self.detection.watch_loop(loop)
        self.detector = next(each for each in self.detection._further if isinstance(each, BlockedLoop))

    @property
    def seen(self) -> int:
        return len(self.detector._blocks)

    def block(self) -> None:
        """Wait in a call until that was seen."""
        before, end = self.seen, time.monotonic() + _ENOUGH
        while self.seen == before and time.monotonic() < end:
            time.sleep(0.001)  # BLOCKS

    def compute(self) -> None:
        """Be busy until that was seen."""
        before, end = self.seen, time.monotonic() + _ENOUGH
        while self.seen == before and time.monotonic() < end:
            pass

    def run(
        self, test: Callable[[], Coroutine[Any, Any, object]], owner: Owner | None = None
    ) -> list[Finding]:
        owner = owner or Owner("test", "test_it")
        snapshot = self.detection.snapshot(owner)
        token = OWNER.set(owner)
        try:
            self.loop.run_until_complete(test())
        finally:
            OWNER.reset(token)
        owner.ended = True
        return self.detection.compare(snapshot, self.loop, loop_ends=True)


@pytest.fixture(params=[asyncio.SelectorEventLoop, VirtualEventLoop])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = Bench(request.param(), 10)
    yield bench
    bench.detection.remove()
    bench.loop.close()


def test_a_test_that_blocks(bench: Bench, line_of: LineOf) -> None:
    async def blocks() -> None:
        await asyncio.sleep(0.001)
        bench.block()  # CALLS

    (finding,) = bench.run(blocks)
    assert finding.rule == "UNO601"
    assert finding.subject.endswith("blocks() blocked the event loop")
    assert finding.target.endswith("blocks")
    assert finding.owner.name == "test_it"
    assert finding.details == "for longer than uno_block_ms = 10"
    places = [(frame.file, frame.line) for frame in finding.created]
    assert (HERE, line_of(blocks, "CALLS")) in places
    assert not re.search(r"\d", finding.subject.replace("test_a_test_that_blocks", ""))


def test_a_test_that_computes(bench: Bench, line_of: LineOf) -> None:
    async def computes() -> None:
        bench.compute()  # CALLS

    (finding,) = bench.run(computes)
    assert (HERE, line_of(computes, "CALLS")) in [(frame.file, frame.line) for frame in finding.created]


def test_a_call_that_keeps_the_interpreter(bench: Bench) -> None:
    async def computes() -> None:
        end = time.monotonic() + _ENOUGH
        while not bench.seen and time.monotonic() < end:
            sum(range(3_000_000))

    assert [finding.rule for finding in bench.run(computes)] == ["UNO601"]


def test_a_callback_that_blocks(bench: Bench) -> None:
    done = asyncio.Event()

    def callback() -> None:
        bench.block()
        done.set()

    async def waits() -> None:
        asyncio.get_running_loop().call_later(0.001, callback)
        await done.wait()

    (finding,) = bench.run(waits)
    assert finding.target.endswith("callback")


def test_a_task_that_blocks(bench: Bench) -> None:
    async def child() -> None:
        bench.block()

    async def waits() -> None:
        await asyncio.create_task(child())

    (finding,) = bench.run(waits)
    assert finding.target.endswith("child")


def test_one_place_is_reported_once(bench: Bench) -> None:
    async def child() -> None:
        bench.block()

    async def blocks() -> None:
        for _ in range(3):
            await asyncio.create_task(child())

    findings = bench.run(blocks)
    assert len({finding.created for finding in findings}) == len(findings)


def test_the_task_of_a_fixture_is_the_fixtures(bench: Bench) -> None:
    fixture = Owner("fixture", "hub", scope="session")
    context = contextvars.copy_context()
    context.run(OWNER.set, fixture)

    async def child() -> None:
        bench.block()

    async def waits() -> None:
        await asyncio.get_running_loop().create_task(child(), context=context)

    assert bench.run(waits) == []
    fixture.ended = True
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert finding.owner.name == "hub"


def test_without_an_owner_it_is_the_tests(bench: Bench) -> None:
    async def child() -> None:
        bench.block()

    async def waits() -> None:
        await asyncio.get_running_loop().create_task(child(), context=contextvars.Context())

    (finding,) = bench.run(waits)
    assert finding.owner.name == "test_it"


def test_a_loop_that_waits_is_not_blocked(bench: Bench) -> None:
    """For many times what a callback may take; no callback of this test takes any time."""

    async def waits() -> None:
        await asyncio.to_thread(time.sleep, 0.1)
        await asyncio.sleep(0.1)

    assert bench.run(waits) == []


def test_the_next_test_is_watched_after_a_long_rest(bench: Bench) -> None:
    bench.detection.unwatch_loop(bench.loop)
    lookout = bench.detector._lookout
    assert lookout is not None
    end = time.monotonic() + _ENOUGH
    while not lookout.is_asleep and time.monotonic() < end:
        time.sleep(0.001)
    assert lookout.is_asleep
    bench.detection.watch_loop(bench.loop)

    async def blocks() -> None:
        bench.block()

    assert len(bench.run(blocks)) == 1


def test_everything_is_gone_after_the_run(bench: Bench) -> None:
    lookout = bench.detector._lookout
    assert lookout is not None
    assert lookout.is_running
    callbacks = len(gc.callbacks)
    bench.detection.remove()
    assert not lookout.is_running
    assert len(gc.callbacks) < callbacks
    assert bench.detector._loops == []
    assert bench.detector._watch is None


def handle_frame(self: object) -> types.FrameType:
    """A frame as that of a handle: its callback runs in the context of `self`."""
    return sys._getframe()


@pytest.mark.parametrize("has_context", [True, False])
def test_the_owner_is_that_of_the_handles_context(bench: Bench, has_context: bool) -> None:
    """In this thread, so that what is run can be measured."""
    fixture = Owner("fixture", "hub", scope="session", ended=True)
    context = contextvars.Context()
    context.run(OWNER.set, fixture)
    handle = asyncio.Handle(print, (), bench.loop, context) if has_context else object()

    async def nothing() -> None:
        bench.detector._note(handle_frame(handle), ((handle_frame.__code__, 1),))

    (finding,) = bench.run(nothing)
    assert finding.owner.name == ("hub" if has_context else "test_it")


def test_no_limit_no_thread() -> None:
    loop = asyncio.SelectorEventLoop()
    bench = Bench(loop, 0)
    assert bench.detector.hooks() == ()
    assert bench.detector._lookout is None

    async def nothing() -> None: ...

    assert bench.run(nothing) == []
    bench.detection.remove()
    loop.close()


def test_the_thread_may_look_when_a_loop_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Lookout] = []
    monkeypatch.setattr(Lookout, "give_way", lambda lookout: given.append(lookout))
    loop = asyncio.SelectorEventLoop()
    detection = LeakDetection(root=ROOT, block_ms=10_000)
    detection.install()
    try:
        assert given == []
        detection.watch_loop(loop)
        assert len(given) == 1
    finally:
        detection.remove()
        loop.close()
