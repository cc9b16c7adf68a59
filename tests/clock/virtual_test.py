"""Make a test of a coroutine function: each test gets a virtual loop of its own."""

from __future__ import annotations

import asyncio
import functools
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from pytest_uno.clock import VirtualClock, VirtualEventLoop
from tests.clock.running import run_virtual

__all__ = ["WatchedSelector", "in_virtual_time", "the_clock"]

P = ParamSpec("P")


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a test of a coroutine function, run on a `VirtualEventLoop` as it comes."""

    @functools.wraps(test)
    def run_test(*args: P.args, **kwargs: P.kwargs) -> None:
        run_virtual(lambda: test(*args, **kwargs))

    return run_test


def the_clock() -> VirtualClock:
    """Return the clock of the running loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualEventLoop)
    return loop.clock


class WatchedSelector(selectors.DefaultSelector):
    """Tells when the loop waits in reality, so that a thread can act exactly then."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = threading.Event()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self.waits.set()
        return super().select(timeout)
