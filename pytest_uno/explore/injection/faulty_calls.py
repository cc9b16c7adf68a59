"""A function whose k-th call fails: before its effect, or after it, so that only the reply is lost."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any, NoReturn, cast

from pytest_uno.explore.injection.places import is_of_library
from pytest_uno.explore.injection.points import Point

__all__ = ["FaultyCalls"]

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


class FaultyCalls:
    """Counts the calls of a function, and makes one of them fail.

    Args:
        function: the function.
        make_error: makes the exception that the call raises.
        point: which call fails, and when; None to count only.

    Attributes:
        count: how many calls there were.
        raised: the exception that the call raised; None if there was none.
        line: code and line of the user's that made the call which fails.
    """

    def __init__(
        self, function: Callable[..., Any], make_error: Callable[[Point], BaseException], point: Point | None
    ) -> None:
        self._function = function
        self._make_error = make_error
        self._point = point
        self.count = 0
        self.raised: BaseException | None = None
        self.line: tuple[types.CodeType, int] | None = None

    def make_replacement(self) -> Callable[..., Any]:
        """Return what stands in the place of the function: async if that is."""
        function = self._function

        @functools.wraps(function, updated=())
        def call(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            point = self._next_point()
            if point is None:
                return function(*args, **kwargs)
            self.line = _calling_line(_getframe(1))
            if inspect.iscoroutinefunction(function):
                return self._fail_in_await(function, args, kwargs, point)
            if point.moment == "before":
                self._raise(point)
            result = function(*args, **kwargs)
            if inspect.isawaitable(result):
                return _LostReply(result, lambda: self._raise(point))
            return self._raise(point)

        if inspect.iscoroutinefunction(function) and sys.version_info >= (3, 12):
            return inspect.markcoroutinefunction(call)
        return call

    async def _fail_in_await(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], point: Point
    ) -> None:
        __tracebackhide__ = True
        if point.moment == "after":
            await function(*args, **kwargs)
        self._raise(point)

    def _next_point(self) -> Point | None:
        self.count += 1
        return self._point if self._point is not None and self._point.number == self.count else None

    def _raise(self, point: Point) -> NoReturn:
        __tracebackhide__ = True
        self.raised = self._make_error(point)
        raise self.raised


class _LostReply:
    """What a function returned that is awaited or entered later, and fails when that is done."""

    def __init__(self, result: Any, fail: Callable[[], None]) -> None:
        self._result = result
        self._fail = fail

    def __getattr__(self, name: str) -> Any:
        return getattr(self._result, name)

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from cast("Awaitable[Any]", self._result).__await__()
        self._fail()

    async def __aenter__(self) -> None:
        async with self._result:
            self._fail()

    async def __aexit__(self, *exc_info: object) -> None:
        """Do nothing: nothing was entered."""


def _calling_line(frame: types.FrameType | None) -> tuple[types.CodeType, int] | None:
    while frame is not None:
        if not is_of_library(frame.f_code):
            return frame.f_code, frame.f_lineno
        frame = frame.f_back
    return None
