from __future__ import annotations

import gc
import weakref
from collections import deque
from collections.abc import Iterator

import pytest

from pytest_uno.leaks import young_objects
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
    return YoungObjects(KINDS, generational=request.param)


def churn() -> None:
    """Make the collector run by itself, some times over."""
    kept = [[] for _ in range(50_000)]  # type: list[list[object]]
    assert kept


def test_objects_stay_in_the_window_while_the_collector_runs(window: YoungObjects) -> None:
    window.open()
    thing = Thing()
    churn()
    assert window.find() == [thing]
    window.close()
    assert thing.me is thing


def test_older_objects_are_not_looked_at() -> None:
    old = Thing()
    gc.collect()
    window = YoungObjects(KINDS)
    window.open()
    assert window.find() == []
    window.close()
    assert objects_of(KINDS) == [old]


@pytest.mark.parametrize("crowd", [0, 3000])
def test_older_objects_are_not_looked_at_while_they_are_young(
    crowd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(young_objects, "_MUCH", 10**9)
    gc.set_threshold(0, 10, 10)  # no collection tells them apart here
    old = Thing()
    window = YoungObjects(KINDS)
    window.open()
    new = [Thing() for _ in range(3)]
    others = [[number] for number in range(crowd)]
    assert window.find() == new
    window.close()
    assert old.me is old
    assert len(others) == crowd


@pytest.mark.parametrize("crowd", [0, 3000])
def test_where_there_are_none_none_are_found(crowd: int) -> None:
    gc.set_threshold(0, 10, 10)  # nothing is collected by itself
    window = YoungObjects(KINDS)
    window.open()
    others = [[number] for number in range(crowd)]
    assert window.find() == []
    window.close()
    assert len(others) == crowd


def test_new_objects_are_found_after_the_older_ones_were_frozen() -> None:
    gc.set_threshold(0, 10, 10)  # nothing is collected by itself
    window = YoungObjects(KINDS)
    window.open()
    gc.freeze()
    try:
        thing = Thing()
        assert window.find() == [thing]
    finally:
        gc.unfreeze()
        window.close()


def test_many_young_objects_are_collected_at_the_start() -> None:
    window = YoungObjects(KINDS)
    gc.set_threshold(0, 10, 10)  # nothing is collected by itself
    kept = [Thing() for _ in range(3000)]
    window.open()
    assert len(gc.get_objects(0)) < 1000
    window.close()
    assert len(kept) == 3000


def test_what_small_tests_leave_to_each_other_is_freed() -> None:
    gc.set_threshold(100_000, 10, 10)  # nothing is collected by itself
    window = YoungObjects(KINDS)
    left: list[weakref.ref[Thing]] = []
    crowds: list[list[list[int]]] = []
    thing = Thing()
    for _ in range(60):
        left.append(weakref.ref(thing))
        window.open()  # with so much in it, the youngest generation is emptied, and moves the thing on
        thing = Thing()
        crowds.append([[number] for number in range(500)])
        assert thing in window.find()
        window.close()
    assert sum(ref() is not None for ref in left) < 30


def test_what_others_have_dropped_goes_when_a_window_opens(window: YoungObjects) -> None:
    gc.set_threshold(0, 10, 10)  # nothing is collected by itself
    dropped = weakref.ref(Thing())
    window.open()
    window.close()
    assert dropped() is not None
    window.open(after_others=True)
    assert dropped() is None
    window.close()


def test_what_others_have_dropped_stays_where_nothing_is_collected(window: YoungObjects) -> None:
    gc.disable()
    dropped = weakref.ref(Thing())
    window.open(after_others=True)
    assert dropped() is not None
    window.close()


def test_a_collection_by_hand_widens_the_window(window: YoungObjects) -> None:
    window.open()
    thing = Thing()
    gc.collect()
    assert window.find() == [thing]
    window.collect()
    window.close()


def test_garbage_is_collected(window: YoungObjects) -> None:
    window.open()
    Thing()
    assert len(window.find()) == 1
    window.collect()
    assert window.find() == []
    window.close()


def test_a_disabled_collector_stays_so() -> None:
    gc.disable()
    assert is_generational()
    window = YoungObjects(KINDS)
    window.open()
    Thing()
    window.collect()
    assert len(window.find()) == 1
    window.close()
    assert not gc.isenabled()


def test_a_disabled_collector_makes_no_test_pay_for_all_before(
    window: YoungObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    gc.disable()
    try:
        window.open()
        kept = [Thing()]
        assert kept[0] in window.find()
        monkeypatch.setattr(young_objects, "_TOO_MANY", 0)
        assert window.find() == []
    finally:
        gc.enable()
        window.close()


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
        window = YoungObjects(KINDS, generational=generational)
        window.open()
        assert gc.get_threshold()[0] == 0
        window.close()


def test_a_crowd_is_collected_at_the_end() -> None:
    window = YoungObjects(KINDS)
    window.open()
    kept = [Thing() for _ in range(3000)]
    gc.collect(0)
    assert len(window.find()) == 3000
    window.close()
    assert not any(item is kept[0] for item in gc.get_objects(1))


def test_the_window_is_collected_before_it_grows_without_bound(window: YoungObjects) -> None:
    window.open()
    alive: deque[Thing] = deque(
        maxlen=1000
    )  # what it holds survives a young collection, then becomes a cycle
    refs: list[weakref.ref[Thing]] = []
    for _ in range(100_000):
        alive.append(thing := Thing())
        refs.append(weakref.ref(thing))
    kept = set(map(id, alive))
    assert sum(ref() is not None for ref in refs) < 60_000
    assert {id(thing) for thing in window.find()} >= kept
    window.close()
    assert window._moved == []


def test_references_to_dead_objects_are_forgotten(
    window: YoungObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(young_objects, "_COMPACT_AT", 10)
    window.open()
    gc.collect()
    window.close()  # takes the limit anew
    window.open()
    for _ in range(20):
        alive = [Thing() for _ in range(9)]
        gc.collect()
        assert len(window._moved) < 90  # of 180
    assert {id(thing) for thing in window.find()} >= set(map(id, alive))
    window.close()


def test_a_collection_that_was_not_announced_widens_the_window(window: YoungObjects) -> None:
    window.open()
    thing = Thing()
    callbacks = list(gc.callbacks)
    gc.callbacks.clear()
    gc.collect()
    try:
        assert window.find() == [thing]
        window.close()
        assert gc.callbacks == []
    finally:
        gc.callbacks[:] = [callback for callback in callbacks if callback != window._callback]


def test_callbacks_of_others_stay(window: YoungObjects) -> None:
    def theirs(phase: str, info: dict[str, int]) -> None: ...

    before = list(gc.callbacks)
    window.open()
    gc.callbacks.append(theirs)
    window.close()
    assert gc.callbacks == [*before, theirs]
    gc.callbacks.remove(theirs)


def test_the_collector_is_asked_for_its_kind() -> None:
    assert is_generational()
    assert not is_generational(lambda generation: gc.collect())
