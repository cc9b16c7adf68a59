"""How a run on the virtual loop fails: the root task is cancelled, everything unwinds, then the error is raised.

The error comes out of `run_until_complete` even when the cancellation was swallowed on the way.
"""

from __future__ import annotations

import asyncio
from typing import Any

from pytest_uno.clock.await_rings import cancel_one_of_each_ring, leads_to

__all__ = ["RunFailure"]


class RunFailure:
    """The failure of one loop's current run; must be used in the loop's thread."""

    def __init__(self) -> None:
        self._roots: list[asyncio.Future[Any]] = []
        self._error: BaseException | None = None

    @property
    def root(self) -> asyncio.Future[Any] | None:
        """What the loop runs for; None under `run_forever`."""
        return self._roots[-1] if self._roots else None

    def enter(self, root: asyncio.Future[Any]) -> None:
        """Begin to run for a task."""
        self._roots.append(root)

    def leave(self) -> BaseException | None:
        """End the run for a task, and return its failure, if there was one."""
        self._roots.pop()
        error, self._error = self._error, None
        return error

    def fail(self, error: BaseException) -> None:
        """Make the run fail.

        Raises:
            BaseException: at once, when there is no task to cancel, or when the clean-up after a first failure fails,
                too; then the first one.
        """
        root = self.root
        if self._error is not None:
            raise self._error
        if not isinstance(root, asyncio.Task):
            raise error
        self._error = error
        message = str(error).partition("\n")[0]
        woken = cancel_one_of_each_ring(asyncio.all_tasks(root.get_loop()), message)
        if not leads_to(root, woken):  # else the cancellation comes to it from there
            root.cancel(message)
