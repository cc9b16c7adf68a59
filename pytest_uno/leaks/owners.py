"""Who is to blame: the test or fixture whose code runs.

A context variable knows it. Tasks, timers and callbacks inherit it from the context that creates them, so
that the background task of a session fixture stays the fixture's although a test runs meanwhile. Threads do
not inherit it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Literal

__all__ = ["OWNER", "Owner", "OwnerKind", "describe_owner"]

OwnerKind = Literal["test", "fixture", "session"]


class Owner:
    """One test, one fixture, or the session; compared by identity.

    Whoever ends it sets `ended`: only what belongs to an ended owner is judged.

    Attributes:
        kind: what it is.
        name: the name of the test or fixture.
        scope: the scope as pytest names it; a test's is "function".
        file: where it is defined, relative to the root where possible.
        line: the line there, from 1.
        ended: whether its teardown is over.
    """

    __slots__ = ("__weakref__", "ended", "file", "kind", "line", "name", "scope")

    def __init__(
        self,
        kind: OwnerKind,
        name: str,
        scope: str = "function",
        file: str | None = None,
        line: int | None = None,
        *,
        ended: bool = False,
    ) -> None:
        self.kind: OwnerKind = kind
        self.name = name
        self.scope = scope
        self.file = file
        self.line = line
        self.ended = ended

    def describe(self) -> str:
        """Say who it is, as in "fixture 'hub' (session, tests/conftest.py:12)"."""
        return describe_owner(self.kind, self.name, self.scope, self.file, self.line)

    def __repr__(self) -> str:
        return f"<Owner {self.describe()}{', ended' if self.ended else ''}>"


def describe_owner(kind: OwnerKind, name: str, scope: str, file: str | None, line: int | None) -> str:
    """Say who an owner is, for messages.

    Args:
        kind: what it is.
        name: its name.
        scope: its scope.
        file: where it is defined, if that is known.
        line: the line there.
    """
    if kind == "session":
        return "the session"
    if kind == "test":
        return f"test {name}"
    place = scope if file is None else f"{scope}, {file}" if line is None else f"{scope}, {file}:{line}"
    return f"fixture {name!r} ({place})"


OWNER: ContextVar[Owner | None] = ContextVar("pytest_uno_owner", default=None)
"""The owner of the code that runs; None outside of every test and fixture."""
