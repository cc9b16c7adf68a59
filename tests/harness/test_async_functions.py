"""Which functions are async: what `inspect` says, and sooner for plain functions."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from pytest_uno.harness.loop_scopes import is_async_function


def plain() -> None: ...


def generator() -> Iterator[int]:
    yield 1


async def coroutine() -> None: ...


async def async_generator() -> AsyncIterator[int]:
    yield 1


@functools.wraps(coroutine)
def plain_around_coroutine() -> None: ...


async def coroutine_with_attribute() -> None: ...


setattr(coroutine_with_attribute, "note", 1)  # noqa: B010 - functions have no such attribute for type checkers


def marked() -> object:
    return coroutine()


if sys.version_info >= (3, 12):
    inspect.markcoroutinefunction(marked)


class Methods:
    async def method(self) -> None: ...

    @staticmethod
    async def static() -> None: ...

    def plain(self) -> None: ...


@pytest.mark.parametrize(
    "func",
    [
        plain,
        generator,
        coroutine,
        async_generator,
        plain_around_coroutine,
        coroutine_with_attribute,
        marked,
        Methods().method,
        Methods.static,
        Methods().plain,
        functools.partial(coroutine),
        functools.partial(plain),
        AsyncMock(),
        Mock(),
        len,
        None,
    ],
    ids=lambda func: getattr(func, "__qualname__", type(func).__name__),
)
def test_it_is_what_inspect_says(func: Callable[..., Any]) -> None:
    assert is_async_function(func) == (inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func))


def test_both_kinds_count() -> None:
    assert is_async_function(coroutine)
    assert is_async_function(async_generator)
    assert not is_async_function(generator)
