"""A phase of a test with a budget of real time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from pytest_uno.harness.run_state import RunState

__all__ = ["Watched"]


class Watched:
    """Watches a block of the run; turns what the watchdog caused into its own error.

    Args:
        run: the state of the pytest run.
        item: the test.
        what: what it is, for the message.
        seconds: its budget in real time.
    """

    def __init__(self, run: RunState, item: pytest.Item, what: str, seconds: float) -> None:
        from pytest_uno.harness import watchdog  # few projects need it: a millisecond at each start

        if run.watchdog is None:
            run.watchdog = watchdog.Watchdog()
        self._run = run
        self._watchdog = run.watchdog
        self._watch = watchdog.Watch(
            f"{what} {item.name}", seconds, self._find_loop, run.tasks_of_test, run.describe_task
        )

    def __enter__(self) -> None:
        self._watchdog.start(self._watch)

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self._watchdog.stop()
        if self._watch.fired:
            if self._run.test is not None:
                self._run.test.is_hung = True
            # The picture says where it hung; what the test itself raised on its way out is worth a look.
            hang = self._watch.error()
            caused_by_us = isinstance(error, type(hang) | asyncio.CancelledError | KeyboardInterrupt)
            raise hang from (None if caused_by_us else error)

    def _find_loop(self) -> asyncio.AbstractEventLoop | None:
        if self._run.setup_task is not None:
            return self._run.setup_task.get_loop()
        return None if self._run.test is None else self._run.test.loop
