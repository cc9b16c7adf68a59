"""Bugs through threads, sockets and database sessions are found; their fixed twins pass; replays are exact."""

from __future__ import annotations

import selectors
import threading
from collections.abc import Generator
from typing import Any

import pytest

from pytest_uno.explore import explore, replay
from pytest_uno.explore.run import run_schedule
from pytest_uno.explore.settings import Settings
from pytest_uno.explore.strategies.holds import Holds
from pytest_uno.explore.tokens import parse_token
from pytest_uno.explore.trace import Tracer
from tests.explore.programs.outside_bugs import OUTSIDE
from tests.explore.programs.pairs import Pair
from tests.explore.programs.session_bugs import SESSIONS
from tests.explore.programs.socket_bugs import SOCKETS
from tests.explore.programs.thread_bugs import THREADS
from tests.explore.schedules_run import LONG, SEEDS

EVERY = [*THREADS, *SOCKETS, *SESSIONS, *OUTSIDE]

every = pytest.mark.parametrize("pair", EVERY, ids=lambda pair: pair.name)


@every
@pytest.mark.parametrize("seed", SEEDS)
def test_bug_is_found(pair: Pair, seed: int) -> None:
    report = explore(pair.buggy, schedules=200, seed=seed)
    assert report.failure is not None
    assert report.found_at != 1
    assert report.delay_class == "io"
    assert report.is_deterministic, report.explanation


@every
def test_fixed_twin_passes(pair: Pair) -> None:
    report = explore(pair.fixed, schedules=LONG // 10 if pair in SESSIONS else LONG // 2)
    assert report.failure is None, report.explanation


@pytest.mark.parametrize("pair", SOCKETS, ids=lambda pair: pair.name)
@pytest.mark.parametrize("holds", [(), (3,)], ids=["stock", "hold"])
def test_a_round_looks_at_the_descriptors_once(
    pair: Pair, holds: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    class Counting(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> Any:
            nonlocal looks
            looks += 1
            return super().select(timeout)

    monkeypatch.setattr(selectors, "DefaultSelector", Counting)
    outcome = run_schedule(pair.fixed, Holds(holds), Settings())
    assert outcome.error is None
    assert 0 < looks <= outcome.rounds


@pytest.fixture
def busy_processor() -> Generator[None]:
    """Keep the interpreter busy in two other threads."""
    is_over = threading.Event()

    def burn() -> None:
        while not is_over.is_set():
            sum(range(2_000))

    threads = [threading.Thread(target=burn, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield
    is_over.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    ("pair", "token"),
    [(pair, token) for pair in EVERY for token in ("io:1", "yield:pos.0.3", "yield:pct3.0.9.30")],
    ids=lambda value: value.name if isinstance(value, Pair) else value,
)
def test_traces_are_equal(pair: Pair, token: str) -> None:
    parsed = parse_token(token)
    runs = [run_schedule(pair.buggy, parsed.strategy(), parsed.settings, tracer=Tracer()) for _ in range(3)]
    assert runs[0].steps
    assert [run.steps for run in runs[1:]] == [runs[0].steps] * 2
    assert [run.decisions for run in runs[1:]] == [runs[0].decisions] * 2


@pytest.mark.usefixtures("busy_processor")
@pytest.mark.parametrize("pair", [THREADS[0], SOCKETS[1]], ids=lambda pair: pair.name)
def test_traces_are_equal_under_load(pair: Pair) -> None:
    report = explore(pair.buggy)
    assert report.token is not None
    for _ in range(3):
        again = replay(pair.buggy, report.token)
        assert again.failure is not None
        assert again.is_deterministic, again.explanation
