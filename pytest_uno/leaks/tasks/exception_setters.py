"""Finding the line that gives a future its exception, by reading the test.

An exception that nobody raised has no trace, and asyncio's futures cannot be watched at a cost that every `await` could
bear. So the source of the owner is asked: if it calls `set_exception` in one place, that is the line.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator

from pytest_uno.leaks.model import Frame, OwnerInfo
from pytest_uno.leaks.sites import Sites

__all__ = ["find_exception_setter"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def find_exception_setter(owner: OwnerInfo, sites: Sites) -> tuple[Frame, ...]:
    """Find the one line of an owner that calls `set_exception`.

    Args:
        owner: the test or fixture.
        sites: knows where its file is.

    Returns:
        The line; nothing if there is none, or more than one.
    """
    if owner.file is None or owner.line is None:
        return ()
    path = sites.path_of(owner.file)
    try:
        tree = ast.parse("".join(linecache.getlines(path)))
    except (SyntaxError, ValueError):
        return ()
    for function, name in _functions(tree, ""):
        first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
        if first <= owner.line <= function.lineno:
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            lines = {call.lineno for call in calls if _sets_exception(call)}
            return tuple(sites.frame(path, line, name) for line in lines) if len(lines) == 1 else ()
    return ()


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    """Yield the functions and methods of a module, with their qualified names; not those within functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _FUNCTIONS):
            yield child, prefix + child.name
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")


def _sets_exception(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "set_exception"
