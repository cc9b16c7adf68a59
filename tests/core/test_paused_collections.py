from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from pytest_uno.core.paused_collections import collections_paused


@pytest.fixture
def collections() -> Iterator[list[str]]:
    """The collections that begin and end, of which any allocation may set one off."""
    seen: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        seen.append(phase)

    was_enabled, thresholds = gc.isenabled(), gc.get_threshold()
    gc.enable()
    gc.set_threshold(5)
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.set_threshold(*thresholds)
    (gc.enable if was_enabled else gc.disable)()


def make_objects() -> None:
    kept = [[number] for number in range(3_000)]  # CPython 3.14 and 3.15 wait for more than the threshold
    assert len(kept) == 3_000


def test_nothing_is_collected_in_the_block_and_again_after_it(collections: list[str]) -> None:
    make_objects()
    assert collections
    collections.clear()
    with collections_paused():
        collections.clear()  # what making the block has set off
        make_objects()
        with collections_paused():
            make_objects()
        make_objects()
        assert collections == []
    make_objects()
    assert collections


def test_a_function_can_be_paused_and_its_error_ends_the_pause(collections: list[str]) -> None:
    @collections_paused()
    def fail() -> None:
        collections.clear()
        make_objects()
        raise ValueError(len(collections))

    for _ in range(2):
        with pytest.raises(ValueError, match=r"\A0\Z"):
            fail()
        assert gc.isenabled()


def test_where_it_is_off_it_stays_off(collections: list[str]) -> None:
    gc.disable()
    with collections_paused():
        assert not gc.isenabled()
    assert not gc.isenabled()


@pytest.mark.usefixtures("collections")
def test_what_the_block_has_made_sets_off_no_collection_of_older_objects() -> None:
    gc.set_threshold(1_000, 1, 1)
    gc.collect()
    for _ in range(3):
        gc.collect(0)  # one of the middle generation is due
    before = gc.get_stats()[1]["collections"]
    with collections_paused():
        kept = [[number] for number in range(3_000)]
    after = [[number] for number in range(300)]
    assert gc.get_stats()[1]["collections"] == before
    assert len(kept) + len(after) == 3_300
