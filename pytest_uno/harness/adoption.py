"""Collection: async tests that are ours become tests that pytest-asyncio runs.

pytest-asyncio converts every item that carries its `asyncio` marker. So adopting a test means adding that marker, with
the loop scope worked out, just before pytest-asyncio looks. That is at two places, because pytest first asks for the
parameters of a test (`pytest_generate_tests`, on a definition that is thrown away) and then makes the items.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import Any, cast

import pytest

from pytest_uno.core.errors import compose_message
from pytest_uno.harness.loop_scopes import is_async_function, loop_scope_of_test
from pytest_uno.harness.marker import check_marker, has_marker, merge_markers, own_marker
from pytest_uno.harness.pytest_internals import (
    convert_item,
    fixtures_identity,
    is_adopted_by_pytest_asyncio,
    is_unittest_item,
)

__all__ = ["Adoption"]


class Adoption:
    """The plugin object that adopts tests at collection.

    Args:
        asyncio_blocked: pytest-asyncio was switched off with `-p no:asyncio`; adopting is an error then.
        takes_unmarked: async tests without a marker may be ours, too.
        on_first_test: called once, when the first test is adopted.
    """

    def __init__(
        self, *, asyncio_blocked: bool, takes_unmarked: bool, on_first_test: Callable[[], None]
    ) -> None:
        self._asyncio_blocked = asyncio_blocked
        self._takes_unmarked = takes_unmarked
        self._on_first_test: Callable[[], None] | None = on_first_test
        self._asyncio_marks: dict[tuple[tuple[str, Any], ...], pytest.MarkDecorator] = {}
        self._last: tuple[object, pytest.MarkDecorator | None] = (None, None)
        self._last_refused: object = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> Generator[None, None, None]:
        """Adopt the definition; wrappers run before pytest-asyncio's implementation, which reads the marker."""
        self._adopt(metafunc.definition)
        return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_pycollect_makeitem(self) -> Generator[None, object, object]:
        """Adopt the items; the innermost wrapper resumes first, before pytest-asyncio converts."""
        result = yield
        for node in _as_list(result):
            if isinstance(node, pytest.Function):
                self._adopt(node)
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Adopt tests that a conftest marked in its own implementation of this hook."""
        for index, item in enumerate(items):
            if not isinstance(item, pytest.Function) or is_adopted_by_pytest_asyncio(item):
                continue
            if is_unittest_item(item):
                self._refuse_unittest(item)
            elif own_marker(item) is None or _async_function_of(item) is None:
                continue
            elif self._look_and_adopt(item):  # it may have been refused when it was made
                items[index] = convert_item(item)

    def _adopt(self, node: pytest.Function) -> bool:
        """Adopt a test if it is ours; an item does as its definition did, with which it shares the fixtures."""
        identity = fixtures_identity(node)
        if not _has_marks_of_parameters(node):
            if identity is self._last[0]:
                if self._last[1] is not None:
                    node.add_marker(self._last[1], append=False)
                return True
            if identity is self._last_refused:
                return False
        is_adopted = self._look_and_adopt(node)
        if not is_adopted:
            self._last = (None, None)
            self._last_refused = identity
        return is_adopted

    def _look_and_adopt(self, node: pytest.Function) -> bool:
        if not (self._takes_unmarked or has_marker(node)):
            return False
        func = _async_function_of(node)
        if func is None:
            self._refuse_sync(node)
            return False
        merged = merge_markers(node)
        if merged is None:
            return False
        if inspect.isasyncgenfunction(func):
            pytest.fail(
                compose_message(
                    f"{node.nodeid}: an async generator cannot be a uno_async test",
                    cause="the test contains a `yield`",
                    fix="move what stands before and after the `yield` into an async fixture",
                    anchor="async-generator-test",
                ),
                pytrace=False,
            )
        if self._asyncio_blocked:
            pytest.fail(
                compose_message(
                    f"{node.nodeid}: a uno_async test needs pytest-asyncio, which is switched off",
                    cause="-p no:asyncio on the command line, in addopts or in PYTEST_ADDOPTS",
                    fix="remove -p no:asyncio",
                    anchor="asyncio-blocked",
                ),
                pytrace=False,
            )
        self._give_asyncio_marker(node, merged)
        if self._on_first_test is not None:
            on_first_test, self._on_first_test = self._on_first_test, None
            on_first_test()
        return True

    def _give_asyncio_marker(self, node: pytest.Function, merged: Any) -> None:
        present = node.get_closest_marker("asyncio")
        kwargs = dict(present.kwargs) if present is not None else {}
        if merged:
            kwargs.update({key: merged[key] for key in ("loop_scope", "loop_factories") if key in merged})
        if "loop_scope" not in kwargs and "scope" not in kwargs:
            scope = loop_scope_of_test(node)
            if scope != "function":
                kwargs["loop_scope"] = scope
        marker = None
        if present is None or kwargs != present.kwargs:
            key = (
                tuple(sorted((name, _as_hashable(value)) for name, value in kwargs.items())) if kwargs else ()
            )
            if key not in self._asyncio_marks:
                self._asyncio_marks[key] = pytest.mark.asyncio(**kwargs)
            marker = self._asyncio_marks[key]
            node.add_marker(marker, append=False)
        self._last = (fixtures_identity(node), marker)

    def _refuse_sync(self, node: pytest.Function) -> None:
        """A marker on the class or module says nothing about its sync tests; one on the test itself is a mistake."""
        mark = own_marker(node)
        if mark is None or mark.args == (False,) or node.name != getattr(node, "originalname", node.name):
            return
        check_marker(mark, node.nodeid)
        pytest.fail(
            compose_message(
                f"{node.nodeid}: uno_async on a test that is not async",
                fix="write `async def`, or remove the marker",
                anchor="sync-test",
            ),
            pytrace=False,
        )

    def _refuse_unittest(self, item: pytest.Function) -> None:
        mark = own_marker(item)
        if mark is not None and mark.args != (False,):
            raise pytest.UsageError(
                compose_message(
                    f"{item.nodeid}: uno_async on a method of a unittest.TestCase",
                    cause="unittest runs its own tests; IsolatedAsyncioTestCase brings a loop of its own",
                    fix="write the test as a function or in a plain class, or remove the marker",
                    anchor="unittest-method",
                )
            )


def _as_list(made: object) -> list[object]:
    return cast("list[object]", made) if isinstance(made, list) else [made]


def _as_hashable(value: Any) -> Any:
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value


def _has_marks_of_parameters(node: pytest.Function) -> bool:
    callspec = getattr(node, "callspec", None)
    return callspec is not None and bool(callspec.marks)


def _async_function_of(node: pytest.Function) -> Callable[..., Any] | None:
    """Return the coroutine or async generator function behind a test, or None for a sync test."""
    func: Any = node.obj
    func = getattr(func, "__func__", func)
    hypothesis = getattr(func, "hypothesis", None)
    if hypothesis is not None and getattr(func, "is_hypothesis_test", False):
        func = hypothesis.inner_test
    return func if is_async_function(func) else None
