"""What is remembered of objects that were made."""

from __future__ import annotations

from pathlib import Path

from pytest_uno.leaks.creations import Creations
from pytest_uno.leaks.sites import Sites


class Thing: ...


def test_what_is_gone_is_not_among_the_living() -> None:
    made: Creations[Thing] = Creations(Sites(Path(__file__).parents[2]), lambda: None, by_finalizer=True)
    first, second = Thing(), Thing()
    made.note(first)
    made.note(second)
    assert [thing for thing, _ in made.living()] == [first, second]
    del first  # and no finalizer takes it out
    assert [thing for thing, _ in made.living()] == [second]
