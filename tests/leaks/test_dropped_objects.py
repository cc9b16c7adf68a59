"""What code of others has dropped goes before the next test is watched, in each run at the same moment."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_uno.leaks import young_objects
from pytest_uno.leaks.detection import LeakDetection
from pytest_uno.leaks.owners import Owner

FIXTURE = Owner("fixture", "shared", scope="module")


class Cycle:
    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def detection(monkeypatch: pytest.MonkeyPatch) -> Iterator[LeakDetection]:
    """A detection that has watched a test, in a process where nothing is collected by itself."""
    monkeypatch.setattr(young_objects, "_MUCH", 10**9)
    thresholds = gc.get_threshold()
    gc.set_threshold(0)
    made = LeakDetection(root=Path(__file__).parents[2])
    made.install()
    made.snapshot(Owner("test", "test_first"))
    made._young.close()
    yield made
    made.remove()
    gc.set_threshold(*thresholds)


@pytest.mark.parametrize(
    ("happens", "goes"),
    [
        (lambda detection: detection.retain(FIXTURE, 1), True),
        (lambda detection: detection.release(FIXTURE), True),
        (lambda detection: detection.note_unjudged(), True),
        (lambda detection: detection.release(Owner("fixture", "own", scope="function")), False),
    ],
    ids=["wider fixture begins", "wider fixture ends", "unjudged test", "nothing"],
)
def test_it_goes_when_others_have_run(
    detection: LeakDetection, happens: Callable[[LeakDetection], None], goes: bool
) -> None:
    dropped = weakref.ref(Cycle())
    happens(detection)
    detection.snapshot(Owner("test", "test_next"))
    assert (dropped() is None) == goes
