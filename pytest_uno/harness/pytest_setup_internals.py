"""Every private part of pytest that setting a test up again and again touches.

A part of `pytest_internals`, whose rules hold here.
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_uno.harness.pytest_internals import XUNIT_PREFIX, fixture_definitions

__all__ = ["arguments_of", "begin_anew", "set_up_again", "tear_down_alone", "users_own_fixtures"]


def arguments_of(item: pytest.Function) -> dict[str, Any]:
    """Return the arguments of a test's function, among all fixtures that it was set up with.

    Args:
        item: the test.
    """
    return {name: item.funcargs[name] for name in item._fixtureinfo.argnames}  # pyright: ignore[reportPrivateUsage]


def begin_anew(item: pytest.Function) -> None:
    """Make a test as if it had not run yet: no fixture values, a fresh instance of its class.

    As pytest-rerunfailures does between two attempts.

    Args:
        item: the test; what it was set up with must be torn down.
    """
    if isinstance(item.parent, pytest.Class):
        for name in ("_instance", "_obj"):
            vars(item).pop(name, None)
    item._initrequest()  # pyright: ignore[reportPrivateUsage]


def set_up_again(item: pytest.Function) -> None:
    """Call the set-up of a test, through pytest's own stack where the test is not on it.

    Args:
        item: the test; its class and module are set up.
    """
    state = item.session._setupstate  # pyright: ignore[reportPrivateUsage]
    if item in state.stack:
        item.setup()
    else:
        state.setup(item)


class _Neighbour:
    """Stands for a test that comes next, from the same class or module."""

    def __init__(self, chain: list[Any]) -> None:
        self._chain = chain

    def listchain(self) -> list[Any]:
        return self._chain


def tear_down_alone(item: pytest.Function) -> None:
    """Tear a test down, and nothing wider.

    Args:
        item: the test.

    Raises:
        BaseException: what its fixtures raised.
    """
    state = item.session._setupstate  # pyright: ignore[reportPrivateUsage]
    neighbour: Any = _Neighbour(item.listchain()[:-1])
    state.teardown_exact(neighbour)


def users_own_fixtures(item: pytest.Function) -> list[str]:
    """Return the function-scoped fixtures of a test that the project itself defines.

    Args:
        item: the test.
    """
    names: list[str] = []
    for name in item.fixturenames:
        definitions = fixture_definitions(item).get(name)
        if name.startswith(XUNIT_PREFIX):
            continue  # made for the instance, which is new each time
        if definitions and definitions[-1].scope == "function" and definitions[-1].baseid:
            names.append(name)
    return names
