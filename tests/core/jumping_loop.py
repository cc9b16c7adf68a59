"""An event loop that jumps over the time it would sleep, for tests of time-outs."""

from __future__ import annotations

import asyncio
import functools
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

__all__ = ["JumpingLoop", "in_jumping_loop", "run"]

P = ParamSpec("P")
T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Looks for I/O without waiting where a timer is due later, and adds that wait to the clock instead."""

    now = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.waits = threading.Event()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            self.waits.set()
        events = super().select(timeout if timeout is None else 0)
        if timeout is not None and not events:
            self.now += timeout
        return events


class JumpingLoop(asyncio.SelectorEventLoop):
    """Starts at 0 s; waits in reality only when no timer is set."""

    def __init__(self) -> None:
        self._jumping_selector = _JumpingSelector()
        super().__init__(self._jumping_selector)

    @property
    def waits(self) -> threading.Event:
        """Is set when the loop waits for I/O in reality."""
        return self._jumping_selector.waits

    def time(self) -> float:
        return self._jumping_selector.now


def run(coro: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does, in a `JumpingLoop`."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(coro)


def in_jumping_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a test of an asynchronous one."""

    @functools.wraps(test)
    def run_test(*args: P.args, **kwargs: P.kwargs) -> None:
        run(test(*args, **kwargs))

    return run_test
