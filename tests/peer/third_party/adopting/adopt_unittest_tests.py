"""A pytest plugin for one run: each `unittest.IsolatedAsyncioTestCase` becomes a plain class with the same tests.

Load it with `-p adopt_unittest_tests`. unittest runs its async tests on a loop of its own, out of reach of every
pytest plugin. The plain class has the methods, a fixture that sets up and tears down as unittest does, and the
assertions of a `TestCase` behind it.
"""

from __future__ import annotations

import unittest
from collections.abc import AsyncIterator
from types import FunctionType
from typing import Any

import pytest

__all__: list[str] = []


class PlainTests:
    """The base of the plain classes."""

    assertions: Any

    @pytest.fixture(autouse=True)
    async def unittest_case(self) -> AsyncIterator[None]:
        """Set up and tear down as unittest does."""
        self.assertions = unittest.TestCase()
        CASES[type(self)].setUpClass()
        self.setUp()
        await self.asyncSetUp()
        yield
        await self.asyncTearDown()
        self.tearDown()
        assert self.assertions.doCleanups(), "a clean-up failed"
        CASES[type(self)].tearDownClass()

    def setUp(self) -> None:
        """Do nothing, where the case does nothing."""

    def tearDown(self) -> None:
        """Do nothing, where the case does nothing."""

    async def asyncSetUp(self) -> None:
        """Do nothing, where the case does nothing."""

    async def asyncTearDown(self) -> None:
        """Do nothing, where the case does nothing."""

    def __getattr__(self, name: str) -> Any:
        """Look for assertions and the like behind it."""
        if name == "assertions":
            raise AttributeError(name)
        return getattr(self.assertions, name)


CASES: dict[type[PlainTests], type[unittest.IsolatedAsyncioTestCase]] = {}
"""The test case behind each plain class; not an attribute of it, which pytest would collect."""


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> pytest.Class | None:
    """Replace a test case by its plain class."""
    if not isinstance(obj, type) or not issubclass(obj, unittest.IsolatedAsyncioTestCase):
        return None
    if obj is unittest.IsolatedAsyncioTestCase:
        return None
    plain = type(
        name,
        (PlainTests,),
        {key: value for key, value in vars(obj).items() if isinstance(value, FunctionType)},
    )
    CASES[plain] = obj
    setattr(collector.obj, name, plain)
    return pytest.Class.from_parent(collector, name=name)
