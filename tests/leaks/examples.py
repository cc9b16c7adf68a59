"""Small tests that leak, or only look as if they did: how files list them, and what they are run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pytest_uno.clock import VirtualEventLoop

__all__ = ["LineOf", "Test", "listed_in", "listed_with", "nothing", "on_both_loops"]

Test = Callable[[], Coroutine[Any, Any, object]]
LineOf = Callable[[Callable[..., object], str], int]

on_both_loops = pytest.mark.parametrize("bench", [asyncio.new_event_loop, VirtualEventLoop], indirect=True)


def listed_in(examples: list[Any]) -> Callable[[Test], Test]:
    """Make a decorator that adds a test to these."""
    return listed_with(examples)()


def listed_with(examples: list[Any]) -> Callable[..., Callable[[Test], Test]]:
    """Make a decorator that adds a test to these, with the values and the marks that it is called with."""

    def with_values(*values: Any) -> Callable[[Test], Test]:
        marks = [value for value in values if isinstance(value, pytest.MarkDecorator)]
        others = [value for value in values if value not in marks]

        def add(test: Test) -> Test:
            examples.append(pytest.param(test, *others, id=test.__name__, marks=marks))
            return test

        return add

    return with_values


async def nothing() -> None:
    """A test that leaves nothing."""
