"""Which loop a test and its fixtures run on: two loops at most.

The rule: **a test that uses any async fixture wider than a function runs on the session's loop, together with those
fixtures; every other test runs on a loop of its own.** Whoever says `loop_scope=` in a marker or in
`pytest_asyncio.fixture` is obeyed. One rule without exceptions ends the "attached to a different loop" class of
errors (pytest-asyncio issues 38, 868, 944, 947, 983, 1142 and 1175).
"""

from __future__ import annotations

import inspect
import types
from typing import Any

import pytest

from pytest_uno.harness.pytest_internals import (
    SCOPES,
    XUNIT_PREFIX,
    fixture_definitions,
    fixture_loop_scope,
)

__all__ = ["is_async_function", "loop_scope_of_fixture", "loop_scope_of_test"]

_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def is_async_function(func: Any) -> bool:
    """Tell whether a fixture's or test's function is a coroutine or async generator function."""
    if type(func) is types.FunctionType and not func.__dict__:
        # Nobody has marked it: its flags are all there is.
        return bool(func.__code__.co_flags & _ASYNC)
    return inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func)


def loop_scope_of_fixture(fixturedef: pytest.FixtureDef[Any], test_scope: str) -> str:
    """Return the scope of the loop that an async fixture runs on.

    Args:
        fixturedef: the fixture.
        test_scope: the loop scope of the test that asks for it; a function-scoped fixture runs there.
    """
    explicit = fixture_loop_scope(fixturedef.func)
    if explicit is not None:
        return explicit
    return test_scope if fixturedef.scope == "function" else "session"


def loop_scope_of_test(item: pytest.Function) -> str:
    """Return the scope of the loop that a test runs on when no marker says so."""
    widest = SCOPES.index(item.config.getini("asyncio_default_test_loop_scope"))
    for definitions in fixture_definitions(item).values():
        if definitions and (
            is_async_function(definitions[-1].func) or _has_async_methods(definitions[-1], item)
        ):
            widest = min(widest, SCOPES.index(loop_scope_of_fixture(definitions[-1], "function")))
    return SCOPES[widest]


def _has_async_methods(fixturedef: pytest.FixtureDef[Any], item: pytest.Function) -> bool:
    if not fixturedef.argname.startswith(XUNIT_PREFIX):
        return False
    from pytest_uno.harness.xunit_methods import has_async_methods  # few suites have such methods

    return has_async_methods(fixturedef, item)
