"""What an operation of the corpus is that a cancellation breaks, with its fixed twin.

Both take a world, may be cancelled at any await, and are judged by `check`. No tool is imported.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Cancellation", "World"]

World: TypeAlias = Any
Step: TypeAlias = Callable[[World], Awaitable[Any]]


@dataclass(frozen=True)
class Cancellation:
    """One bug.

    Attributes:
        id: its number in the corpus.
        setup: makes a world.
        buggy: the operation.
        fixed: the same, as it should be.
        check: raises if the world is not as it should be.
        teardown: takes the world down.
        moments: the moments at which a single cancellation shows the bug.
    """

    id: str
    setup: Callable[[], Awaitable[World]]
    buggy: Step
    fixed: Step
    check: Step
    teardown: Step | None = None
    moments: tuple[str, ...] = ("wait", "wake")
