"""Context variables of a fixture come over, and go again."""

from __future__ import annotations

import contextvars
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from pytest_uno.harness.context_changes import apply_context_changes

VARS: tuple[contextvars.ContextVar[object], ...] = tuple(contextvars.ContextVar(f"VAR{i}") for i in range(4))
UNSET = object()

Values = dict[int, int]
values = st.dictionaries(st.integers(0, len(VARS) - 1), st.integers(0, 2))


def set_all(to: Values) -> None:
    for index, value in to.items():
        VARS[index].set(value)


def read_all() -> Values:
    return {i: value for i, var in enumerate(VARS) if isinstance(value := var.get(UNSET), int)}


@given(here=values, there=values)
def test_what_the_fixture_set_holds_until_it_is_undone(here: Values, there: Values) -> None:
    def run() -> Callable[[], None] | None:
        set_all(here)
        other = contextvars.copy_context()
        other.run(set_all, there)
        restore = apply_context_changes(other)
        assert read_all() == here | there
        if restore is not None:
            restore()
        assert read_all() == here
        return restore

    restore = contextvars.Context().run(run)
    assert (restore is None) == (here | there == here)


def test_an_equal_object_is_another_value() -> None:
    def run() -> None:
        here: list[int] = []
        there: list[int] = []
        VARS[0].set(here)
        other = contextvars.copy_context()
        other.run(VARS[0].set, there)
        restore = apply_context_changes(other)
        assert restore is not None
        assert VARS[0].get() is there
        restore()
        assert VARS[0].get() is here

    contextvars.Context().run(run)


def test_undoing_twice_does_it_once() -> None:
    def run() -> None:
        other = contextvars.copy_context()
        other.run(VARS[0].set, "fixture")
        restore = apply_context_changes(other)
        assert restore is not None
        restore()
        VARS[0].set("later")
        restore()
        assert VARS[0].get() == "later"

    contextvars.Context().run(run)
