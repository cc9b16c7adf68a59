from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from pytest_uno.leaks.young_objects import YoungObjects, is_generational, objects_of


class Thing:
    def __init__(self) -> None:
        self.me = self


KINDS = frozenset({Thing})


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    before = gc.get_threshold(), gc.isenabled()
    gc.collect()
    yield
    gc.set_threshold(*before[0])
    (gc.enable if before[1] else gc.disable)()


@pytest.fixture(params=[True, False])
def window(request: pytest.FixtureRequest) -> YoungObjects:
    return YoungObjects(generational=request.param)


def churn() -> None:
    """Make the collector run by itself, some times over."""
    kept = [[] for _ in range(50_000)]  # type: list[list[object]]
    assert kept


def test_objects_stay_in_the_window_while_the_collector_runs(window: YoungObjects) -> None:
    window.open()
    thing = Thing()
    churn()
    assert window.find(KINDS) == [thing]
    window.close()
    assert thing.me is thing


def test_older_objects_are_not_looked_at() -> None:
    old = Thing()
    gc.collect()
    window = YoungObjects()
    window.open()
    assert window.find(KINDS) == []
    window.close()
    assert objects_of(KINDS) == [old]


def test_a_collection_by_hand_widens_the_window(window: YoungObjects) -> None:
    window.open()
    thing = Thing()
    gc.collect()
    assert window.find(KINDS) == [thing]
    window.collect()
    window.close()


def test_garbage_is_collected(window: YoungObjects) -> None:
    window.open()
    Thing()
    assert len(window.find(KINDS)) == 1
    window.collect()
    assert window.find(KINDS) == []
    window.close()


def test_a_disabled_collector_stays_so() -> None:
    gc.disable()
    assert is_generational()
    window = YoungObjects()
    window.open()
    Thing()
    window.collect()
    assert len(window.find(KINDS)) == 1
    window.close()
    assert not gc.isenabled()


def test_thresholds_come_back(window: YoungObjects) -> None:
    gc.set_threshold(500, 11, 12)
    window.open()
    assert gc.get_threshold() != (500, 11, 12)
    window.open()
    window.close()
    assert gc.get_threshold() == (500, 11, 12)
    window.close()
    assert gc.get_threshold() == (500, 11, 12)


def test_thresholds_of_the_user_stay(window: YoungObjects) -> None:
    window.open()
    gc.set_threshold(321, 4, 5)
    window.close()
    assert gc.get_threshold()[0] == 321


def test_a_threshold_of_never_stays_so() -> None:
    gc.set_threshold(0, 10, 10)
    for generational in (True, False):
        window = YoungObjects(generational=generational)
        window.open()
        assert gc.get_threshold()[0] == 0
        window.close()


def test_a_crowd_is_collected_at_the_end() -> None:
    window = YoungObjects()
    window.open()
    kept = [Thing() for _ in range(3000)]
    gc.collect(0)
    assert len(window.find(KINDS)) == 3000
    window.close()
    assert not any(item is kept[0] for item in gc.get_objects(1))


def test_the_collector_is_asked_for_its_kind() -> None:
    assert is_generational()
    assert not is_generational(lambda generation: gc.collect())
