"""A bug and its fixed twin, as one scenario that takes a flag."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

__all__ = ["Pair", "pair"]


@dataclass(frozen=True)
class Pair:
    """A scenario in two versions, each of which passes in stock order."""

    name: str
    scenario: Callable[[bool], Awaitable[None]]

    def buggy(self) -> Coroutine[Any, Any, None]:
        return self._run(True)

    def fixed(self) -> Coroutine[Any, Any, None]:
        return self._run(False)

    async def _run(self, has_bug: bool) -> None:
        await self.scenario(has_bug)


def pair(collection: list[Pair]) -> Callable[[Callable[[bool], Awaitable[None]]], Pair]:
    """Put a scenario into a collection."""

    def decorate(scenario: Callable[[bool], Awaitable[None]]) -> Pair:
        made = Pair(scenario.__name__, scenario)
        collection.append(made)
        return made

    return decorate
