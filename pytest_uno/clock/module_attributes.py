"""Swap what modules hold by name (`from time import monotonic`) for something else, and back, in microseconds.

Finding the names means looking at every attribute of every module, tens of milliseconds in a large project. It
is done once; later only the modules that are new or have changed are looked at. Between two swaps nothing of this
stays behind in a module.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

__all__ = ["ModuleAttributes"]

_Namespace = dict[str, Any]
_Place = tuple[str, object, object]


class ModuleAttributes:
    """The attributes, of all modules, that hold one of the given objects under any name.

    Not thread-safe: the caller has a lock.

    Args:
        pairs: what to look for, each with what takes its place.
        skip: packages and modules that are left alone, with what is below them.
    """

    def __init__(self, pairs: Iterable[tuple[Any, Any]], *, skip: tuple[str, ...]) -> None:
        pairs = tuple(pairs)
        self._skip = tuple(name.rstrip(".") + "." for name in skip)
        # A module that freezegun or an earlier swap has in hand holds the substitute.
        self._by_id = {id(one): pair for pair in pairs for one in pair}
        # While a test replaces `shop.datetime` by a mock, the name is all that tells what will be there again.
        self._by_name = {original.__name__: (original, substitute) for original, substitute in pairs}
        self._seen: dict[str, tuple[int, int]] = {}
        self._newest: tuple[int, str | None] = (0, None)
        self._found: dict[str, tuple[_Place, ...]] = {}
        self._swapped: list[tuple[_Namespace, str, object, object]] = []

    def swap(self) -> None:
        """Put the substitutes in place, wherever the original stands now."""
        self._look_at_new_modules()
        modules, note = sys.modules, self._swapped.append
        for name, found in self._found.items():
            namespace = _namespace(modules.get(name))
            for attribute, original, substitute in found:
                if namespace.get(attribute) is original:
                    namespace[attribute] = substitute
                    note((namespace, attribute, original, substitute))

    def put_back(self) -> None:
        """Put back what this object swapped, wherever the substitute still stands."""
        for namespace, attribute, original, substitute in self._swapped:
            if namespace.get(attribute) is substitute:
                namespace[attribute] = original
        self._swapped.clear()

    def put_back_foreign(self, *, imported_only: bool) -> None:
        """Put back what others swapped as well: what was imported since the swap bound the substitutes.

        Args:
            imported_only: nobody else swapped anything in the modules of before.
        """
        imported = self._look_at_new_modules()
        for name in imported if imported_only else self._found:
            namespace = _namespace(sys.modules.get(name))
            for attribute, original, substitute in self._found.get(name, ()):
                if namespace.get(attribute) is substitute:
                    namespace[attribute] = original

    def _look_at_new_modules(self) -> list[str]:
        # An import appends to `sys.modules`; a look at all of them would cost more than the whole swap.
        newest = (len(sys.modules), next(reversed(sys.modules), None))
        if newest == self._newest:
            return []
        self._newest = newest
        changed: list[str] = []
        for name, module in list(sys.modules.items()):
            namespace = _namespace(module)
            seen = (id(namespace), len(namespace))
            if self._seen.get(name) != seen and not f"{name}.".startswith(self._skip):
                self._seen[name] = seen
                found = self._look_at(namespace)
                if found:
                    self._found[name] = found
                    changed.append(name)
        return changed

    def _look_at(self, namespace: _Namespace) -> tuple[_Place, ...]:
        found: list[_Place] = []
        for attribute, value in list(namespace.items()):
            pair = self._by_id.get(id(value))
            if pair is None and attribute in self._by_name and not issubclass(type(value), ModuleType):
                pair = self._by_name[attribute]
            if pair is not None:
                found.append((attribute, *pair))
        return tuple(found)


def _namespace(module: object) -> _Namespace:
    """Return the attributes of a module without running any code of it: some load themselves when touched."""
    try:
        namespace: object = object.__getattribute__(module, "__dict__")
    except AttributeError:  # None, or an object that stands in for a module
        return {}
    return namespace if isinstance(namespace, dict) else {}  # pyright: ignore[reportUnknownVariableType]
