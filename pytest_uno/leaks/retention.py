"""The retention rule: what a live wider fixture still holds is the fixture's, not the test's.

A pool that fills lazily, a keep-alive connection, a hub that remembers its subscribers: created while a
test ran, yet no leak of the test. So before anybody is blamed, a search goes from the live values of wider
fixtures to the suspects. It runs only when there is a suspect, breadth first, and gives up after a bounded
number of objects, since everything is reachable from everything in the end.

A fixture may well be a function, and what it holds in its closure then: that is followed, as its defaults
and attributes are; its globals are the whole module, and are not.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import types
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

__all__ = ["find_retained", "walk"]

K = TypeVar("K")

_LIMIT = 20_000
"""Objects looked at for each root owner: enough for a hub of thousands, a few milliseconds at most."""

_DEAD_ENDS = (
    type,
    types.ModuleType,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
    asyncio.Future,
    asyncio.AbstractEventLoop,
    asyncio.Runner,
    contextvars.Context,
    weakref.ref,
    str,
    bytes,
    int,
    float,
    type(None),
)
"""What the search does not look into: they hold no suspects, or lead to the whole program (a loop knows
every task)."""


def find_retained(
    suspects: Iterable[object], roots: Mapping[K, Iterable[object]], *, limit: int = _LIMIT
) -> dict[int, K]:
    """Find the suspects that can be reached from somebody's values.

    Args:
        suspects: what to look for.
        roots: the values of each holder; an earlier holder wins.
        limit: how many objects to look at for each holder.

    Returns:
        The holder of each suspect that was found, by the suspect's `id`.
    """
    wanted = {id(suspect) for suspect in suspects}
    found: dict[int, K] = {}
    if not wanted:
        return found
    for holder, values in roots.items():
        for item in walk(values, limit=limit):
            if id(item) in wanted:
                found.setdefault(id(item), holder)
            if len(found) == len(wanted):
                return found
    return found


def walk(values: Iterable[object], *, limit: int = _LIMIT) -> Iterator[object]:
    """Yield what can be reached from some values, themselves included, the nearest first, each once.

    Args:
        values: where to begin.
        limit: how many objects to look at, give or take one more step away from the values.
    """
    # `seen` keeps what it has seen alive, since the id of a dead object is soon another's.
    seen: dict[int, object] = {}
    layer = list(values)
    while layer and len(seen) < limit:
        fresh: list[object] = []
        held: list[object] = []
        for item in layer:
            key = id(item)
            if key in seen:
                continue
            seen[key] = item
            yield item
            if isinstance(item, types.FunctionType):
                held += (item.__closure__, item.__defaults__, item.__kwdefaults__, vars(item))
            elif not isinstance(item, _DEAD_ENDS):
                fresh.append(item)
        layer = gc.get_referents(*fresh) + held
