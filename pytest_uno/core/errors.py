"""The exceptions that pytest-uno raises, and the shape of every message.

UnoError
 ├── ClockError                  also a RuntimeError
 │    ├── ClockLimitError
 │    ├── ClockStallError
 │    ├── ClockTimeoutError      also a TimeoutError
 │    └── DeadlockError
 ├── ExplorationError
 │    ├── BadTokenError          also a ValueError
 │    └── StepLimitError
 ├── InjectionError              also an AssertionError
 ├── ManagerClosedError          also a RuntimeError
 ├── ResourceError
 ├── ReadOnlyTransactionError
 ├── SandboxError
 │    ├── SandboxConflict
 │    ├── SandboxEscapeError
 │    └── TooManyQueriesError
 └── TaskLeakError

SandboxWarning                  a UserWarning: something that a database sandbox cannot show
UnoExplorationWarning           a UserWarning: what an explored test's author may not expect
UnoLeakWarning                  a UserWarning: a leak at level `warn`

Wrong arguments stay `TypeError`, `ValueError` or `RuntimeError`, with a message of the same shape.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "BadTokenError",
    "ClockError",
    "ClockLimitError",
    "ClockStallError",
    "ClockTimeoutError",
    "DeadlockError",
    "ExplorationError",
    "ManagerClosedError",
    "ReadOnlyTransactionError",
    "ResourceError",
    "SandboxConflict",
    "SandboxError",
    "SandboxEscapeError",
    "SandboxWarning",
    "StepLimitError",
    "TaskLeakError",
    "TooManyQueriesError",
    "UnoError",
    "UnoExplorationWarning",
    "UnoLeakWarning",
    "compose_message",
    "docs_url",
]

_DOCS = "https://pytest-uno.readthedocs.io/en/stable/"


def docs_url(page: str) -> str:
    """Return the address of a documentation page.

    Args:
        page: the page below the documentation's root, without suffix, with an `#anchor` if there is one.
    """
    path, _, anchor = page.partition("#")
    return f"{_DOCS}{path}.html" + (f"#{anchor}" if anchor else "")


def compose_message(what: str, *, cause: str | None = None, fix: str, anchor: str) -> str:
    """Compose the text of an error: what happened, the likely cause, the fix, where to read on.

    Args:
        what: what happened and where, one sentence without a full stop.
        cause: the likely cause, where it is not plain from `what`.
        fix: what to do about it.
        anchor: the anchor in `docs/reference/messages.md`.

    Example:
        >>> print(compose_message("no loop", fix="run one", anchor="no-loop").splitlines()[1])
          fix: run one
    """
    lines = [what]
    if cause is not None:
        lines.append(f"  likely cause: {cause}")
    lines.append(f"  fix: {fix}")
    lines.append(f"  docs: {docs_url('reference/messages#' + anchor)}")
    return "\n".join(lines)


class UnoError(Exception):
    """Base of the errors that this package itself raises."""


class ClockError(UnoError, RuntimeError):
    """The virtual clock cannot do what it was asked for, or cannot go on."""


class DeadlockError(ClockError):
    """Every task is blocked and nothing can wake one: no timer, no I/O, no thread, no process."""


class ClockStallError(ClockError):
    """Virtual time could not move for too long in real time."""


class ClockLimitError(ClockError):
    """Virtual time, or the number of its jumps, ran over its limit."""


class ClockTimeoutError(ClockError, TimeoutError):
    """What runs on the loop needed more seconds of the loop's clock than it may take."""


class ExplorationError(UnoError):
    """Exploration cannot do what it was asked for, or a schedule cannot go on."""


class BadTokenError(ExplorationError, ValueError):
    """A text is not the token of a schedule."""


class StepLimitError(ExplorationError):
    """A schedule went on for far longer than the stock order does."""


class ManagerClosedError(UnoError, RuntimeError):
    """The manager is shutting down or shut down, and takes no more work."""


class ResourceError(UnoError):
    """A resource could not be opened or closed."""


class ReadOnlyTransactionError(UnoError):
    """A read-only transaction was asked to write."""


class SandboxError(UnoError):
    """The database sandbox cannot do what it was asked for."""


class SandboxConflict(SandboxError):  # noqa: N818 - a conflict of two transactions, named as databases do
    """Two transactions of a test want the database at once, which has one connection in the sandbox."""


class SandboxEscapeError(SandboxError):
    """A test has ended the sandbox's own transaction, so that what it wrote has stayed in the database."""


class TooManyQueriesError(SandboxError):
    """A test, or a block of it, has sent more statements than it may."""


class TaskLeakError(UnoError):
    """Tasks did not end although they were cancelled.

    Attributes:
        tasks: the tasks that are still running.
    """

    def __init__(self, message: str, tasks: Iterable[asyncio.Task[Any]] = ()) -> None:
        super().__init__(message)
        self.tasks: tuple[asyncio.Task[Any], ...] = tuple(tasks)


class SandboxWarning(UserWarning):
    """A test does something with its database that one connection in one transaction cannot show."""


class UnoExplorationWarning(UserWarning):
    """Something about an explored test that its author may not expect; it stays a warning in every project."""


class UnoLeakWarning(UserWarning):
    """A test or a fixture left something behind, at level `warn`.

    It stays a warning where the project makes errors of warnings: level `error` is there for that.
    """
