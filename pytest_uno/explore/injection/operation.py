"""The user's four functions: set up a world, operate on it, check it, tear it down."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from pytest_uno.core.errors import compose_message

__all__ = ["CheckFailed", "Operation"]


class CheckFailed(Exception):  # noqa: N818 - never seen by users
    """The check has returned False."""


class Operation:
    """What is run again and again, each time in a world of its own.

    Args:
        caller: the function that is asking, for messages.
        op: the operation; takes the world if there is a `setup`.
        setup: makes the world.
        check: says whether the world is as it should be, by an exception or by False.
        teardown: takes the world down.

    Attributes:
        name: what the operation is called in messages.

    Raises:
        TypeError: one of them cannot be called like that.
    """

    def __init__(
        self,
        caller: str,
        op: Callable[..., Any],
        setup: Callable[..., Any] | None,
        check: Callable[..., Any] | None,
        teardown: Callable[..., Any] | None,
    ) -> None:
        self._caller = caller
        self._has_world = setup is not None
        arguments = 1 if self._has_world else 0
        _require_callable(caller, "op", op, arguments)
        _require_callable(caller, "setup", setup, 0)
        _require_callable(caller, "check", check, arguments)
        _require_callable(caller, "teardown", teardown, arguments)
        self._op, self._setup, self._check, self._teardown = op, setup, check, teardown
        self.name = _name_of(op)

    @property
    def functions(self) -> tuple[object, ...]:
        """The functions, which may refer to more than the world."""
        return tuple(each for each in (self._op, self._check) if each is not None)

    async def set_up(self) -> Any:
        """Make a world; None if the user makes none."""
        return None if self._setup is None else await _settled(self._setup())

    def start(self, world: Any) -> Coroutine[Any, Any, Any]:
        """Call the operation.

        Args:
            world: the world.

        Returns:
            Its coroutine, which has not begun.

        Raises:
            TypeError: the operation is not async.
        """
        result = self._op(*self._arguments(world))
        if inspect.iscoroutine(result):
            return result
        if inspect.isawaitable(result):
            return _await(result)
        raise TypeError(
            compose_message(
                f"{self._caller}({self.name}): the operation returned {type(result).__name__}, not an awaitable",
                fix="make it `async def`: it can only be interrupted where it awaits",
                anchor="injection-arguments",
            )
        )

    async def check(self, world: Any) -> None:
        """Check the world.

        Args:
            world: the world.

        Raises:
            CheckFailed: the check returned False.
            Exception: whatever the check raises.
        """
        if self._check is not None and await _settled(self._check(*self._arguments(world))) is False:
            raise CheckFailed(f"{_name_of(self._check)} returned False")

    async def tear_down(self, world: Any) -> None:
        """Take the world down.

        Args:
            world: the world.
        """
        if self._teardown is not None:
            await _settled(self._teardown(*self._arguments(world)))

    def _arguments(self, world: Any) -> tuple[Any, ...]:
        return (world,) if self._has_world else ()


async def _settled(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _require_callable(caller: str, role: str, function: object, arguments: int) -> None:
    if function is None and role != "op":
        return
    if not callable(function):
        called = inspect.isawaitable(function)
        if inspect.iscoroutine(function):
            function.close()  # else it would be reported as never awaited, too
        raise TypeError(
            compose_message(
                f"{caller}: {role} is no function but {type(function).__name__}",
                cause="the function was called" if called else None,
                fix=f"pass the function itself, `{role}` without parentheses: it runs once for each injection",
                anchor="injection-arguments",
            )
        )
    try:
        inspect.signature(function).bind(*[None] * arguments)
    except TypeError as exc:
        wanted = "take the world that setup returned" if arguments else "take no argument"
        cause = None if arguments or role == "setup" else "there is no `setup` to return a world"
        raise TypeError(
            compose_message(
                f"{caller}: {role} {_name_of(function)[:-2]}{inspect.signature(function)} must {wanted} ({exc})",
                cause=cause,
                fix="pass `setup=`, or bind what it needs with a lambda or functools.partial",
                anchor="injection-arguments",
            )
        ) from None
    except ValueError:
        pass  # a builtin without a signature


def _name_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name: str = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{name.rpartition('<locals>.')[2]}()"
