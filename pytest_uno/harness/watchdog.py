"""The real-time watchdog: a hung test fails with the picture of what it was waiting for.

One daemon thread for the run, started with the first test that has a budget, sleeping until the earliest deadline.
When a deadline passes it takes the picture, then stops the test in two steps:

1. It asks the loop to cancel the test's tasks, so that `finally` blocks run. That is enough for a hung `await`.
2. If the loop does not answer within a second, something blocks the loop's thread: a signal makes the main thread
   raise in the middle of it, again and again until it listens. The signal is not SIGINT, which background jobs ignore,
   but SIGVTALRM, which nothing else uses; where there are no signals to send to a thread (Windows),
   `_thread.interrupt_main` does it.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import signal
import threading
import traceback
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from pytest_uno.clock.await_graph import capture_await_graph
from pytest_uno.clock.real_time import monotonic
from pytest_uno.core.errors import compose_message
from pytest_uno.core.thread_frames import current_frames
from pytest_uno.harness.pytest_internals import Failed

__all__ = ["HangError", "Watch", "Watchdog"]

_SIGNAL: int | None = getattr(signal, "SIGVTALRM", None) if hasattr(signal, "pthread_kill") else None

_STEP = 1.0
"""Real seconds between asking and insisting."""


class HangError(Failed):
    """A test used up its real-time budget."""

    __module__ = "builtins"  # pytest shows `HangError: ...`, without a module path

    def __init__(self, message: str) -> None:
        super().__init__(message, pytrace=False)


class Watch:
    """One budget being watched.

    Args:
        what: what is being watched, for the message.
        seconds: the budget in real seconds.
        find_loop: returns the loop to look at and to cancel on, when the time is up.
        tasks: returns the tasks to cancel, called on the loop.
        label: names the owner of a task in the picture.
    """

    __slots__ = (
        "_find_loop",
        "_label",
        "_tasks",
        "_thread",
        "_what",
        "deadline",
        "done",
        "fired",
        "message",
        "seconds",
    )

    def __init__(
        self,
        what: str,
        seconds: float,
        find_loop: Callable[[], asyncio.AbstractEventLoop | None],
        tasks: Callable[[], Iterable[asyncio.Task[Any]]],
        label: Callable[[asyncio.Task[Any]], str | None],
    ) -> None:
        self.seconds = seconds
        self.deadline = monotonic() + seconds
        self.done = threading.Event()
        self.fired = False
        self.message = ""
        self._what = what
        self._find_loop = find_loop
        self._thread = threading.get_ident()
        self._tasks = tasks
        self._label = label

    def fire(self) -> None:
        """Take the picture and ask the loop to cancel; called in the watchdog's thread."""
        loop = self._find_loop()
        self.message = self._describe(loop)
        self.fired = True
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(self._cancel)

    def error(self) -> HangError:
        """Return the failure of the test."""
        return HangError(self.message)

    def _cancel(self) -> None:
        if self.done.is_set():  # queued, and too late: the runner may be closing
            return
        for task in self._tasks():
            task.cancel("pytest-uno: real_timeout")

    def _describe(self, loop: asyncio.AbstractEventLoop | None) -> str:
        frames = current_frames()
        frame = frames.get(self._thread)
        del frames
        stack = "".join(traceback.format_list(_user_part(traceback.extract_stack(frame)))) if frame else ""
        del frame
        picture = "" if loop is None else capture_await_graph(loop, label=self._label).render()
        return compose_message(
            f"{self._what} was still running after {self.seconds:g} s of real time\n\n"
            f"the tasks, and who waits for whom:\n{picture}\n\nthe main thread:\n{stack}",
            fix="see what the test waits for above; give it more time with uno_async(real_timeout=...)",
            anchor="hung-test",
        )


def _user_part(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """Drop the frames of the test runner and of the loop, which are the same for every test."""
    runner = max((i for i, frame in enumerate(stack) if _is_runner(frame.filename)), default=-1)
    return list(stack)[runner + 1 :]


def _is_runner(filename: str) -> bool:
    path = filename.replace("\\", "/")
    return any(
        part in path for part in ("/_pytest/", "/pluggy/", "/pytest_asyncio/", "/pytest_uno/harness/")
    ) or (path.endswith(("/asyncio/base_events.py", "/asyncio/events.py", "/asyncio/runners.py")))


class Watchdog:
    """Watches one budget at a time, from a thread of its own.

    Must be made, used and closed in the thread that runs the tests. The signal handler is ours until `close`: it is
    never put back while a signal may be under way, which would then end the process.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watch: Watch | None = None
        self._wakes_at = float("inf")
        self._ended = False
        self._test_thread = threading.get_ident()
        self._in_main_thread = threading.current_thread() is threading.main_thread()
        self._previous_handler: Any = None
        if _SIGNAL is not None and self._in_main_thread:  # only there can handlers be set
            self._previous_handler = signal.signal(_SIGNAL, self._raise)
        self._thread = threading.Thread(target=self._run, name="pytest-uno-watchdog", daemon=True)
        self._thread.start()

    def start(self, watch: Watch) -> None:
        """Begin to watch."""
        with self._changed:
            self._watch = watch
            if watch.deadline < self._wakes_at:
                self._changed.notify()

    def stop(self) -> None:
        """End the current watch; whatever was queued for it does nothing any more."""
        watch = self._watch
        if watch is not None:
            watch.done.set()  # from here on the handler does not raise
        with self._changed:
            self._watch = None

    def close(self) -> None:
        """End the thread and give the signal back."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()
        if _SIGNAL is not None and self._in_main_thread:
            signal.signal(_SIGNAL, self._previous_handler)

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._ended:
                    return
                watch = self._watch
                self._wakes_at = float("inf") if watch is None else watch.deadline
                left = self._wakes_at - monotonic()
                if watch is None or left > 0:
                    self._changed.wait(None if watch is None else left)
                    continue
            self._stop_test(watch)

    def _stop_test(self, watch: Watch) -> None:
        watch.fire()
        while not watch.done.wait(_STEP):
            with self._changed:  # `stop` waits for this: no signal is sent after it
                if not watch.done.is_set():
                    self._interrupt()
        with self._changed:
            if self._watch is watch:
                self._watch = None

    def _interrupt(self) -> None:
        if not self._in_main_thread:
            return  # no Python code of another thread can be interrupted: the cancellation has to do
        if _SIGNAL is not None:
            signal.pthread_kill(self._test_thread, _SIGNAL)
        else:
            _thread.interrupt_main()

    def _raise(self, signum: int, frame: FrameType | None) -> None:
        watch = self._watch
        if watch is not None and watch.fired and not watch.done.is_set():
            raise watch.error()
