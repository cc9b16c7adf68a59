"""Look through a world: what the user's objects hold, with the path that leads to each.

Attributes are read from dictionaries and slots, so that no property of the user's runs.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from typing import Any, cast

__all__ = ["roots_of", "walk"]

_DEPTH = 4
_LIMIT = 500
"""Objects that are looked at: a world may hold all the rows of a table."""

_PLAIN = (str, bytes, bytearray, int, float, complex, bool, type(None))
_CLOSED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, asyncio.Future)
"""What is not looked into: it leads out of the world."""

_LIBRARIES = tuple(
    {sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")} | {"<frozen"}
)


def roots_of(world: object, functions: tuple[object, ...]) -> dict[str, object]:
    """Return where to begin: the world, and what the functions refer to.

    Args:
        world: the world; None if there is none.
        functions: the user's functions.
    """
    roots: dict[str, object] = {} if world is None else {"world": world}
    for function in functions:
        roots.update(_referred_by(function))
    return roots


def walk(roots: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield what the roots hold, breadth first, each object once, with its path.

    Args:
        roots: the roots by their names.
    """
    queue = collections.deque((path, thing, 0) for path, thing in roots.items())
    seen: set[int] = set()
    while queue and len(seen) < _LIMIT:
        path, thing, depth = queue.popleft()
        if isinstance(thing, _PLAIN) or id(thing) in seen:
            continue
        seen.add(id(thing))
        yield path, thing
        if depth < _DEPTH and not isinstance(thing, _CLOSED):
            queue.extend((inner, value, depth + 1) for inner, value in _parts(path, thing))


def _parts(path: str, thing: object) -> Iterator[tuple[str, object]]:
    match thing:
        case dict():
            for key, value in list(cast("dict[object, object]", thing).items()):
                yield f"{path}[{key!r:.40}]", value
        case list() | tuple() | set() | frozenset():
            for index, value in enumerate(list(cast("list[object]", thing))):
                yield f"{path}[{index}]", value
        case types.MethodType():
            yield path, thing.__self__
        case _ if not _is_of_library(type(thing)):
            attributes = getattr(thing, "__dict__", None)
            if isinstance(attributes, dict):
                for name, value in list(cast("dict[str, object]", attributes).items()):
                    yield f"{path}.{name}", value
            for name in _slots_of(type(thing)):
                if (value := getattr(thing, name, None)) is not None:
                    yield f"{path}.{name}", value
        case _:
            # Of a library's objects, what SQLAlchemy's sessions and their makers are bound to.
            for name in ("bind", "kw"):
                if type(thing).__module__.startswith("sqlalchemy.") and name in getattr(
                    thing, "__dict__", ()
                ):
                    yield f"{path}.{name}", vars(thing)[name]


def _slots_of(kind: type) -> Iterator[str]:
    for each in kind.__mro__:
        slots = cast("str | tuple[str, ...]", vars(each).get("__slots__", ()))
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if isinstance(vars(each).get(name), types.MemberDescriptorType):
                yield name


def _is_of_library(kind: type[Any]) -> bool:
    if kind is types.SimpleNamespace or kind.__module__ == "__main__":
        return False
    module = sys.modules.get(kind.__module__)
    file: str | None = getattr(module, "__file__", None)
    return module is not None and (file is None or file.startswith(_LIBRARIES))


def _referred_by(function: object) -> Iterator[tuple[str, object]]:
    if isinstance(function, functools.partial):
        partial = cast("functools.partial[Any]", function)  # type: ignore[redundant-cast]  # pyright knows less
        yield from ((f"argument {index}", value) for index, value in enumerate(partial.args, 1))
        yield from partial.keywords.items()
        yield from _referred_by(partial.func)
    elif isinstance(function, types.MethodType):
        yield "self", function.__self__
        yield from _referred_by(function.__func__)
    elif isinstance(function, types.FunctionType):
        code = function.__code__
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # not bound yet
                yield name, cell.cell_contents
        names = function.__globals__
        yield from ((name, names[name]) for name in code.co_names if name in names)
