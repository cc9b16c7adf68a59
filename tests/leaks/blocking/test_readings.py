"""Whose time it was."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest

from pytest_uno.leaks.blocking.readings import (
    GcPauses,
    Reading,
    ThreadTimes,
    make_time_reader,
    read_starved,
    span,
)


def test_the_system_tells_of_this_thread() -> None:
    times = ThreadTimes(threading.get_ident(), threading.get_native_id())
    for read in (times.read_worked, times.read_starved, read_starved):
        first = read()
        second = read()
        assert (first is None) == (second is None)
        assert first is None or second is None or 0 <= first <= second


def test_a_system_that_tells_nothing() -> None:
    assert make_time_reader(None, lambda clock: 1.0, 5)() is None
    assert make_time_reader(lambda thread: 1, None, 5)() is None


def test_the_clock_of_the_thread_is_read() -> None:
    assert make_time_reader(lambda thread: thread + 1, float, 5)() == 6.0


@pytest.mark.parametrize(("text", "expected"), [("7 2500000000 3\n", 2.5), ("", None), ("7 x", None)])
def test_the_schedule_of_a_thread(tmp_path: Path, text: str, expected: float | None) -> None:
    file = tmp_path / "schedstat"
    file.write_text(text)
    assert read_starved(str(file)) == expected


def test_no_schedule(tmp_path: Path) -> None:
    assert read_starved(str(tmp_path / "none")) is None


def test_collections_are_counted_until_the_end() -> None:
    pauses = GcPauses()
    remove = pauses.install()
    gc.collect()
    total = pauses.total
    assert total > 0
    remove()
    remove()
    gc.collect()
    assert pauses.total == total


def reading(
    moment: float, worked: float | None = None, starved: float | None = None, paused: float = 0.0
) -> Reading:
    return Reading(moment, worked, starved, paused)


@pytest.mark.parametrize(
    ("now", "late", "is_stuck", "expected"),
    [
        pytest.param(reading(1.0, 1.0, 0.0), 0.0, False, 1.0, id="it computed"),
        pytest.param(reading(1.0, 0.0, 0.0), 0.0, True, 1.0, id="it waited"),
        pytest.param(reading(1.0, 0.0, 1.0), 0.0, True, 0.0, id="it had no processor"),
        pytest.param(reading(1.0, 0.25, 0.75), 0.0, False, 0.25, id="it had a processor now and then"),
        pytest.param(reading(1.0, 0.0, 0.0), 0.75, True, 0.25, id="the process stood still"),
        pytest.param(reading(1.0, 1.0, 0.0), 0.75, True, 1.0, id="it did not let others run"),
        pytest.param(reading(1.0, 1.0, 0.0, 0.75), 0.0, False, 0.25, id="garbage was collected"),
        pytest.param(reading(1.0, 3.0, 2.0), 0.0, False, 1.0, id="clocks that disagree"),
        pytest.param(reading(1.0, 0.0), 0.0, False, 0.0, id="it may have had no processor"),
        pytest.param(reading(1.0, 0.0), 0.0, True, 1.0, id="it stood in a call"),
        pytest.param(reading(1.0, None, 0.25), 0.0, False, 0.75, id="no processor time"),
        pytest.param(reading(1.0), 0.25, False, 0.75, id="only real time"),
        pytest.param(reading(1.0, None, 2.0), 0.0, False, 0.0, id="never less than nothing"),
    ],
)
def test_the_blame_for_a_span(now: Reading, late: float, is_stuck: bool, expected: float) -> None:
    before = reading(0.0, None if now.worked is None else 0.0, None if now.starved is None else 0.0)
    assert span(before, now, late=late, is_stuck=is_stuck) == expected
