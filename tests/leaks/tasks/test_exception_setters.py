from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from pytest_uno.leaks.model import OwnerInfo
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.tasks.exception_setters import find_exception_setter

ROOT = Path(__file__).parents[3]
KEPT: list[Any] = []


class Orders:
    def decorated(self) -> None:
        future: Any = KEPT[0]
        future.set_exception(LookupError())

    @staticmethod
    def behind_a_decorator() -> None:
        def later() -> None:
            KEPT[0].set_exception(LookupError())

        later()


def twice() -> None:
    KEPT[0].set_exception(LookupError())
    KEPT[1].set_exception(LookupError())


def never() -> None:
    KEPT[0].set_result(None)


def owner_of(function: Any, *, line: int | None = None) -> OwnerInfo:
    file = Path(__file__).relative_to(ROOT).as_posix()
    first = inspect.getsourcelines(function)[1] if line is None else line
    return OwnerInfo("test", function.__name__, "function", file, first)


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (Orders.decorated, "Orders.decorated"),
        (Orders.behind_a_decorator, "Orders.behind_a_decorator"),
        (twice, None),
        (never, None),
    ],
)
def test_the_one_call_of_a_function_is_found(function: Any, found: str | None) -> None:
    frames = find_exception_setter(owner_of(function), Sites(ROOT))
    assert [frame.function for frame in frames] == ([] if found is None else [found])
    assert all("set_exception" in frame.code for frame in frames)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (None, None),
        ("tests/nowhere.py", 1),
        ("README.md", 1),
        (Path(__file__).relative_to(ROOT).as_posix(), 9999),
    ],
)
def test_nothing_is_found_where_there_is_no_source(file: str | None, line: int | None) -> None:
    assert find_exception_setter(OwnerInfo("test", "test_x", "function", file, line), Sites(ROOT)) == ()
