"""Finding the line that sets a context variable, by reading code: nobody can be asked who has set it.

What a function names before it calls `set` is looked up where the function itself would: among its globals, in its
closure, in the attributes of those. So are the user's functions that it calls.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any, cast

__all__ = ["find_setter"]

_DEPTH = 5
"""Calls within calls that are followed."""

_NOTHING = object()

_WRAPPERS = (functools.partial, types.MethodType, staticmethod, classmethod)

Line = tuple[types.CodeType, int]


def find_setter(
    variable: object, function: Callable[..., object], is_user: Callable[[str], bool]
) -> list[Line]:
    """Find the line that sets a variable.

    Args:
        variable: the context variable.
        function: where to begin.
        is_user: says whether a file is the user's; others' functions are not read.

    Returns:
        The line, and the lines of the calls that lead to it, the innermost first; none if it was not found.
    """
    return _search(variable, function, is_user, set(), _DEPTH)


def _search(
    variable: object,
    function: object,
    is_user: Callable[[str], bool],
    seen: set[types.CodeType],
    depth: int,
) -> list[Line]:
    plain = _plain_function(function)
    if plain is None or plain.__code__ in seen or not is_user(plain.__code__.co_filename):
        return []
    seen.add(plain.__code__)
    calls: list[tuple[Line, object]] = []
    for code in _codes(plain.__code__):
        for named, attribute, line in _names(code, plain):
            if attribute == "set" and named is variable:
                return [(code, line)]
            if attribute is None and depth:
                calls.append(((code, line), named))
    for place, named in calls:
        found = _search(variable, named, is_user, seen, depth - 1)
        if found:
            return [*found, place]
    return []


def _names(code: types.CodeType, function: types.FunctionType) -> Iterator[tuple[object, str | None, int]]:
    """Yield each object that code names, the name of the attribute that it takes of it, and the line."""
    named: object = _NOTHING
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        position = instruction.positions.lineno if instruction.positions else None
        line = position or line
        name = instruction.opname
        if name in ("LOAD_ATTR", "LOAD_METHOD") and named is not _NOTHING:
            yield named, str(instruction.argval), line
            named = _attribute_of(named, str(instruction.argval))
        elif name in ("LOAD_GLOBAL", "LOAD_NAME"):
            named = _global_of(function, str(instruction.argval))
        elif name == "LOAD_DEREF":
            named = _free_variable_of(function, str(instruction.argval))
        elif name not in ("PUSH_NULL", "CACHE", "NOP", "EXTENDED_ARG"):
            named = _NOTHING
        if named is not _NOTHING:
            yield named, None, line


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _plain_function(function: Any) -> types.FunctionType | None:
    while isinstance(function, _WRAPPERS):
        inner = "func" if isinstance(function, functools.partial) else "__func__"
        function = getattr(cast("object", function), inner)
    if not callable(function) or isinstance(function, type):
        return None
    try:
        function = inspect.unwrap(function)
    except Exception:  # of an object that has every attribute
        return None
    return function if isinstance(function, types.FunctionType) else None


def _attribute_of(thing: object, name: str) -> object:
    try:
        return inspect.getattr_static(thing, name, _NOTHING)
    except Exception:  # of a user's metaclass
        return _NOTHING


def _global_of(function: types.FunctionType, name: str) -> object:
    found = function.__globals__.get(name, _NOTHING)
    return getattr(builtins, name, _NOTHING) if found is _NOTHING else found


def _free_variable_of(function: types.FunctionType, name: str) -> object:
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    try:
        return cells[name].cell_contents
    except (KeyError, ValueError):
        return _NOTHING
