"""A function-scoped loop that is cheap to make and to end.

`asyncio.Runner` swaps the SIGINT handler around every `run` and always runs the shutdown of async generators and of
the default executor. A test needs one swap, and mostly neither of the two. This is what pays for the harness: a test
with all detectors on costs no more than a test under bare pytest-asyncio.

There is no pool of loops: making and closing one costs 24 microseconds, and a pool lets stale references reach the
next test.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
import asyncio
import contextvars
import signal
import threading
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

from pytest_uno.core.errors import compose_message
from pytest_uno.harness.asyncio_internals import (
    cancel_all_tasks,
    needs_asyncgen_shutdown,
    needs_executor_shutdown,
)

__all__ = ["PATIENCE", "LightRunner", "refuse_running_loop"]

PATIENCE = 5.0
"""Seconds that tasks get to end when their loop closes; what leaks has been judged by then."""

# What `signal.getsignal` and `signal.signal` call in the end. They first look for an enumeration member of each
# argument and result, which is none, and costs a test as much as half of making a loop.
_without_enums: Any = _signal
_get_handler: Callable[[int], Any] = _without_enums.getsignal
_set_handler: Callable[[int, Callable[[int, FrameType | None], Any]], Any] = _without_enums.signal
_SIGINT = int(signal.SIGINT)

T = TypeVar("T")


class LightRunner:
    """What pytest-asyncio needs of an `asyncio.Runner`: `run`, `get_loop` and an end.

    Must be used in one thread. SIGINT is handled from construction to `close`, in the main thread, when Python's
    own handler is in place: the first one cancels the running coroutine, the second raises `KeyboardInterrupt`.

    Args:
        debug: the loop's debug mode; None leaves the loop's own default.
        loop_factory: makes the loop; None takes asyncio's default.
    """

    def __init__(
        self,
        *,
        debug: bool | None = None,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        self._loop = asyncio.new_event_loop() if loop_factory is None else loop_factory()
        if debug is not None:
            self._loop.set_debug(debug)
        asyncio.set_event_loop(self._loop)
        self._task: asyncio.Task[Any] | None = None
        self._interrupts = 0
        self._handles_sigint = (
            threading.current_thread() is threading.main_thread()
            and _get_handler(_SIGINT) is signal.default_int_handler
        )
        if self._handles_sigint:
            _set_handler(_SIGINT, self._interrupt)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""
        return self._loop

    def run(self, coro: Coroutine[Any, Any, T], *, context: contextvars.Context | None = None) -> T:
        """Run a coroutine to its end.

        Args:
            coro: the coroutine.
            context: the context it runs in; None copies the current one.

        Returns:
            What it returned.

        Raises:
            RuntimeError: a loop is already running in this thread, or the loop is closed.
            KeyboardInterrupt: SIGINT came while it ran.
            BaseException: what it raised.
        """
        __tracebackhide__ = True
        try:
            refuse_running_loop()
            task = self._loop.create_task(coro, context=context)
        except RuntimeError:
            coro.close()  # or it would be the next test's coroutine that nobody awaits
            raise
        self._task = task
        self._interrupts = 0
        try:
            return self._loop.run_until_complete(task)
        except asyncio.CancelledError:
            if self._interrupts and task.uncancel() == 0:
                raise KeyboardInterrupt from None
            raise
        finally:
            self._task = None

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        self._interrupts += 1
        task = self._task
        if self._interrupts == 1 and task is not None and not task.done():
            task.cancel()
            self._loop.call_soon_threadsafe(_wake_up)  # the loop may be waiting in select
            return
        raise KeyboardInterrupt

    def close(self) -> None:
        """End what is left on the loop, close it and give SIGINT back."""
        loop = self._loop
        try:
            if not loop.is_closed():
                cancel_all_tasks(loop, PATIENCE)
                if needs_asyncgen_shutdown(loop):
                    loop.run_until_complete(loop.shutdown_asyncgens())
                if needs_executor_shutdown(loop):
                    loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            if self._handles_sigint:
                _set_handler(_SIGINT, signal.default_int_handler)
            asyncio.set_event_loop(None)
            loop.close()


def refuse_running_loop() -> None:
    """Refuse to set up an async fixture inside a running test.

    Raises:
        RuntimeError: a loop is running in this thread.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            compose_message(
                "an async fixture cannot be set up while the event loop is running",
                cause="request.getfixturevalue() of an async fixture inside an async test",
                fix="take the fixture as an argument of the test, or request it from a sync fixture",
                anchor="fixture-in-running-loop",
            )
        )


def _wake_up() -> None: ...
