"""What can be said about an operation without the user's help: the things that it must not leave behind.

An oracle begins before each run of the operation, and looks after it. Higher layers bring more of them through
`further_oracles`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pytest_uno.explore.injection.own_tasks import OwnTasks

__all__ = ["Oracle", "OracleFactory", "Remains", "Scene", "further_oracles"]


@dataclass(frozen=True, slots=True)
class Scene:
    """One run of an operation.

    Attributes:
        world: what the user's `setup` returned; None if there is none.
        functions: the user's functions, which may refer to more.
        tasks: the tasks that the operation starts, and the context in which it runs.
    """

    world: object
    functions: tuple[object, ...]
    tasks: OwnTasks


@dataclass(frozen=True, slots=True)
class Remains:
    """Something that was left behind.

    Attributes:
        text: what it is, without a full stop; the same in each run in which the same thing is left.
        may_be_meant: whether the operation may be there to leave it, which its run without an injection tells.
    """

    text: str
    may_be_meant: bool = False


class Oracle(Protocol):
    """Looks for one kind of thing in one run.

    Attributes:
        is_late: it looks after the user's teardown, which may end what it looks for; else between check and teardown.
    """

    is_late: bool

    async def look(self) -> Sequence[Remains]:
        """Return what the operation has left behind; called once."""
        ...

    def dispose(self) -> None:
        """Undo what was left behind, as far as that is possible; called after the teardown of a run that failed."""
        ...


OracleFactory: TypeAlias = Callable[[Scene], Awaitable[Oracle]]
"""Begins: called after the user's setup, before the operation."""

further_oracles: ContextVar[tuple[OracleFactory, ...]] = ContextVar("pytest_uno_further_oracles", default=())
"""What the caller's context brings beside the oracles of this package."""
