"""How long a callback has been running, on clocks that the test sets."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from pytest_uno.leaks.blocking import callback_watch as module
from pytest_uno.leaks.blocking.callback_watch import CallbackWatch
from pytest_uno.leaks.blocking.stacks import Line, Look

LIMIT = 0.2
STEP = 0.05


def frame() -> types.FrameType:
    """A frame of its own."""
    return sys._getframe()


class Selector:
    def select(self, timeout: float | None = None) -> list[object]:
        return []


class Loop:
    def __init__(self) -> None:
        self._selector = Selector()
        self.runs = True

    def is_running(self) -> bool:
        return self.runs

    def turn(self) -> None:
        self._selector.select()


class Stage:
    """A loop, the clocks of its thread, and a watch that looks at them."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.loops: list[Any] = [self.loop]
        self.seen: Look | None = None
        self.now = 0.0
        self.worked: float | None = 0.0
        self.starved: float | None = 0.0
        self.own_starved: float | None = 0.0
        self.paused = 0.0
        self.reports: list[tuple[types.FrameType, tuple[Line, ...]]] = []
        self.watch = CallbackWatch(
            LIMIT,
            self.loops,
            lambda: self.seen,
            read_worked=lambda: self.worked,
            read_starved=lambda: self.starved,
            read_own_starved=lambda: self.own_starved,
            read_paused=lambda: self.paused,
            report=lambda handle, lines: self.reports.append((handle, lines)),
            now=lambda: self.now,
        )

    def begin(self, line: int = 1, *, counts: bool = True) -> None:
        """Begin a callback."""
        self.seen = Look(frame(), ((frame.__code__, line),), (frame.__code__, line), counts)

    def move(self, line: int) -> None:
        """Let the callback go on to another line."""
        assert self.seen is not None
        self.seen = self.seen._replace(lines=((frame.__code__, line),), position=(frame.__code__, line))

    def end(self) -> None:
        """End the callback, and the turn."""
        self.seen = None
        self.loop.turn()

    def look(
        self, *, worked: float = 0.0, starved: float = 0.0, paused: float = 0.0, late: float = 0.0
    ) -> bool:
        """Let a step of time pass, of which the thread has worked a part, and look."""
        due = self.now + STEP
        self.now = due + late
        if self.worked is not None:
            self.worked += worked
        if self.starved is not None:
            self.starved += starved
        self.paused += paused
        return self.watch.look(due)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_callback_that_waits_is_reported_once(stage: Stage) -> None:
    stage.begin()
    for _ in range(4):
        assert stage.look()
    assert stage.reports == []
    stage.look()
    assert stage.seen is not None
    assert stage.reports == [(stage.seen.handle, stage.seen.lines)]
    for _ in range(5):
        stage.look()
    assert len(stage.reports) == 1


def test_a_callback_that_computes_is_reported(stage: Stage) -> None:
    stage.begin()
    for line in range(6):
        stage.move(line)
        stage.look(worked=STEP)
    assert [lines for _, lines in stage.reports] == [((frame.__code__, frame.__code__.co_firstlineno),)]


def test_the_next_callback_begins_anew(stage: Stage) -> None:
    for _ in range(5):
        stage.begin()
        for _ in range(4):
            stage.look(worked=STEP)
        stage.end()
    assert stage.reports == []


def test_each_callback_is_reported(stage: Stage) -> None:
    for _ in range(3):
        stage.begin()
        for _ in range(6):
            stage.look(worked=STEP)
        stage.end()
    assert len(stage.reports) == 3


def test_many_callbacks_in_one_turn_are_none_that_takes_long(stage: Stage) -> None:
    for _ in range(20):
        stage.begin()
        stage.look(worked=STEP)
    assert stage.reports == []


def test_a_loop_that_waits_is_not_reported(stage: Stage) -> None:
    for _ in range(20):
        assert stage.look()
    assert stage.reports == []


def test_a_starved_loop_is_not_reported(stage: Stage) -> None:
    stage.begin()
    for _ in range(20):
        stage.look(starved=STEP)
    assert stage.reports == []


def test_a_loop_that_may_be_starved_is_not_reported(stage: Stage) -> None:
    stage.starved = None
    stage.begin()
    for line in range(20):
        stage.move(line)
        stage.look(worked=STEP / 10)
    assert stage.reports == []


def test_a_loop_that_is_mostly_starved_is_reported_for_its_own_time(stage: Stage) -> None:
    stage.begin()
    for _ in range(15):
        stage.look(worked=STEP / 5, starved=STEP * 4 / 5)
    assert stage.reports == []
    for _ in range(10):
        stage.look(worked=STEP / 5, starved=STEP * 4 / 5)
    assert len(stage.reports) == 1


def test_a_process_that_stood_still_is_not_reported(stage: Stage) -> None:
    stage.begin()
    stage.look()
    stage.look(late=60)
    assert stage.reports == []


def test_garbage_collections_are_not_reported(stage: Stage) -> None:
    stage.begin()
    for _ in range(20):
        stage.look(worked=STEP, paused=STEP)
    stage.end()
    stage.look(worked=STEP)
    stage.begin()
    stage.look(worked=1 + STEP, late=1, paused=1)
    assert stage.reports == []


def test_an_import_is_not_reported(stage: Stage) -> None:
    stage.begin(counts=False)
    for _ in range(20):
        stage.look(worked=STEP)
    assert stage.reports == []


def test_a_call_that_lets_nobody_else_run_is_reported(stage: Stage) -> None:
    stage.look()
    stage.begin()
    stage.look(worked=0.3, late=0.3)
    assert len(stage.reports) == 1


def test_a_call_that_lets_nobody_else_run_counts_with_what_follows(stage: Stage) -> None:
    stage.look()
    stage.begin()
    stage.look(worked=0.21, late=0.16)
    assert stage.reports == []
    stage.look()
    assert len(stage.reports) == 1


@pytest.mark.parametrize(
    ("spoil", "worked", "late"),
    [
        pytest.param({}, 0.1, 0.3, id="the process did not run"),
        pytest.param({"own_starved": 0.3}, 0.3, 0.3, id="we did not run"),
        pytest.param({"own_starved": None}, 0.3, 0.3, id="nobody tells whether we ran"),
        pytest.param({"worked": None}, 0.3, 0.3, id="nobody tells whether it ran"),
        pytest.param({}, 0.3, 0.05, id="a moment"),
    ],
)
def test_a_late_look_alone_is_no_evidence(
    stage: Stage, spoil: dict[str, float | None], worked: float, late: float
) -> None:
    stage.look()
    stage.begin()
    for name, value in spoil.items():
        setattr(stage, name, value)
    stage.look(worked=worked, late=late)
    assert stage.reports == []


def test_a_late_look_is_no_evidence_where_nobody_tells_of_us(stage: Stage) -> None:
    stage.own_starved = None
    stage.look()
    stage.own_starved = 0.0
    stage.begin()
    stage.look(worked=0.3, late=0.3)
    assert stage.reports == []


def test_old_delays_of_ours_are_forgotten(stage: Stage) -> None:
    stage.own_starved = 0.0
    stage.look()
    stage.own_starved = 5.0
    for _ in range(20):
        stage.look()
    stage.begin()
    stage.look(worked=0.3, late=0.3)
    assert len(stage.reports) == 1


def test_nothing_is_looked_at_without_a_loop(stage: Stage) -> None:
    stage.begin()
    stage.loop.runs = False
    for _ in range(20):
        assert stage.look()
    stage.loops.clear()
    assert not stage.look()
    assert stage.reports == []


def test_a_loop_that_cannot_tell_its_turns_is_not_looked_at(stage: Stage) -> None:
    stage.begin()
    select = stage.loop._selector.select
    vars(stage.loop._selector)["select"] = lambda timeout=None: select(timeout)
    for _ in range(20):
        stage.look(worked=STEP)
    assert stage.reports == []


def test_nothing_is_kept_of_a_turn_that_is_over(stage: Stage) -> None:
    stage.begin()
    assert stage.seen is not None
    handle = stage.seen.handle
    alone = sys.getrefcount(handle)
    stage.look()
    assert sys.getrefcount(handle) > alone
    stage.loop.turn()
    assert sys.getrefcount(handle) == alone
    assert vars(stage.loop._selector) == {}


def test_forgetting_lets_go_of_the_loop(stage: Stage) -> None:
    stage.begin()
    stage.look()
    assert vars(stage.loop._selector)
    stage.watch.forget()
    assert vars(stage.loop._selector) == {}


def test_a_look_that_is_under_way_is_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[Callable[[], None]] = []
    monkeypatch.setattr(module, "_PATIENCE", 0.001)

    def report(*args: object) -> None:
        stage.watch.settle()  # from within: it gives up after its patience
        settled.append(stage.watch.settle)

    monkeypatch.setattr(stage.watch, "_report", report)
    stage.begin()
    for _ in range(6):
        stage.look()
    assert settled
    stage.watch.settle()
