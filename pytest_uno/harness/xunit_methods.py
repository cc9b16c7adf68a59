"""Async `setup_method`, `teardown_method` and their like: pytest calls them, and nobody awaits what they return.

pytest makes an autouse fixture of each pair. For a test that is ours, an async generator takes the place of that
fixture's function where one of the pair is async, and is run as every async fixture is (pytest-asyncio issues 119 and
159).
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple

import pytest

from pytest_uno.harness.pytest_internals import XUNIT_PREFIX

__all__ = ["has_async_methods", "make_async_xunit_fixture"]


class _Pair(NamedTuple):
    """Where pytest finds a pair of methods, and what it hands to them (pytest 8.4 to 9.2)."""

    setup: str
    teardown: str
    holder: str
    argument: str

    def is_async_in(self, holder: object) -> bool:
        """Say whether one of the two is async."""
        return any(inspect.iscoroutinefunction(getattr(holder, name, None)) for name in self[:2])


_PAIRS = {
    "module": _Pair("setup_module", "teardown_module", "module", "module"),
    "class": _Pair("setup_class", "teardown_class", "cls", "cls"),
    "function": _Pair("setup_function", "teardown_function", "module", "function"),
    "method": _Pair("setup_method", "teardown_method", "instance", "function"),
}


def has_async_methods(fixturedef: pytest.FixtureDef[Any], node: pytest.Function) -> bool:
    """Say whether a fixture is one that pytest made of such a pair for a class or module, and one of them is async.

    Args:
        fixturedef: any fixture that a test asks for.
        node: the test.
    """
    pair = _pair_of(fixturedef)
    return pair is not None and pair.is_async_in(node.module if pair.holder == "module" else node.cls)


def make_async_xunit_fixture(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Callable[..., Any] | None:
    """Return what takes the place of a fixture's function: an async generator around the pair of methods.

    Args:
        fixturedef: any fixture.
        request: its request.

    Returns:
        None if it is not one that pytest made of such a pair, or if none of the two is async.
    """
    pair = _pair_of(fixturedef)
    if pair is None or (pair.setup == "setup_function" and request.instance is not None):
        return None  # pytest leaves methods to `setup_method`
    holder = getattr(request, pair.holder)
    if not pair.is_async_in(holder):
        return None
    setup, teardown = getattr(holder, pair.setup, None), getattr(holder, pair.teardown, None)
    argument = getattr(request, pair.argument)

    async def xunit_fixture(request: object) -> AsyncGenerator[None, None]:
        await _call(setup, argument)
        yield
        await _call(teardown, argument)

    # What is left behind is blamed on the user's method, by its name and place.
    named: Any = setup if inspect.iscoroutinefunction(setup) else teardown
    xunit_fixture.__module__ = named.__module__
    xunit_fixture.__wrapped__ = named  # type: ignore[attr-defined]
    return xunit_fixture


def _pair_of(fixturedef: pytest.FixtureDef[Any]) -> _Pair | None:
    name = fixturedef.argname
    return (
        _PAIRS[name.removeprefix(XUNIT_PREFIX).partition("_")[0]] if name.startswith(XUNIT_PREFIX) else None
    )


async def _call(method: Callable[..., Any] | None, argument: object) -> None:
    """Call a method with its argument if it takes one, as pytest does, and await what it returns."""
    if method is None:
        return
    takes_one = bool(inspect.signature(method).parameters)
    result = method(argument) if takes_one else method()
    if inspect.isawaitable(result):
        await result
