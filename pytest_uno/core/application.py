"""Running a manager as a whole application: start up, wait for a signal, shut down.

Signal handlers are installed with `signal.signal`. `loop.add_signal_handler` exists on Unix only, and takes
away whatever handler was there before without a way to put it back; a second framework in the process, a
debugger or a test runner would lose theirs. A handler of `signal.signal` runs between two instructions of the
main thread, where it must not touch the loop; so it schedules the request with `call_soon_threadsafe`, which
also wakes a loop that is waiting for I/O, on Windows too.

A signal that arrives just before the loop begins to wait would go unnoticed: the interpreter has seen that
there is none, and the system call starts after it was delivered. So the signal also writes to a socket that
the loop reads (`signal.set_wakeup_fd`). Windows' proactor loop brings its own.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_uno.core.asyncio_internals import peek_exception
from pytest_uno.core.bounded_wait import BoundedWait
from pytest_uno.core.closers import call_and_await
from pytest_uno.core.current_manager import use_manager

if TYPE_CHECKING:
    from types import FrameType

    from pytest_uno.core.async_manager import AsyncManager

__all__ = ["run_application"]


async def run_application(
    startup_func: Callable[[], Any] | None = None,
    cleanup_func: Callable[[], Any] | None = None,
    *,
    manager: AsyncManager | None = None,
    signals: Iterable[int] = (signal.SIGINT, signal.SIGTERM),
) -> signal.Signals | None:
    """Run an application: start it up, wait until it is told to stop, shut it down.

    It is told to stop by a signal, by `manager.request_shutdown()`, by `manager.shutdown()`, or by cancelling
    this call. A second signal hurries: nothing is waited for any more, but everything is still attempted. A
    stop during the start-up cancels `startup_func`. The previous signal handlers are restored at the end.

    Off the main thread, where Python allows no signal handlers, none are installed.

    Args:
        startup_func: called first, sync or async; `get_async_manager()` returns the manager in it and in all
            that it starts.
        cleanup_func: called when shutting down, before tasks and resources end, sync or async; only if
            `startup_func` has returned.
        manager: the manager to run; by default a new one. It is started if it is not.
        signals: the signals that stop the application.

    Returns:
        The signal that stopped it, or None if something else did.

    Raises:
        Exception: what `startup_func` or a start-up hook raised.
        ExceptionGroup: what went wrong while shutting down; see `AsyncManager.shutdown()`.

    Example:
        >>> async def start():
        ...     manager = get_async_manager()
        ...     database = await manager.enter_resource(connect())
        ...     manager.create_task(serve(database))
        >>> async def main():
        ...     await run_application(start)
    """
    if manager is None:
        # Not at module level: the manager's module exports this function.
        from pytest_uno.core.async_manager import AsyncManager

        manager = AsyncManager("application")
    with _stop_on(signals, manager), use_manager(manager):
        starting = asyncio.create_task(
            _start_up(manager, startup_func, cleanup_func), name=f"{manager.name}/start-up"
        )
        manager.set_start_up(starting)
        requested = asyncio.create_task(manager.wait_for_request(), name=f"{manager.name}/stop")
        try:
            await asyncio.wait((starting, requested), return_when=asyncio.FIRST_COMPLETED)
            if not requested.done():
                starting.result()  # raises what starting up raised
            await requested
        except BaseException as exc:
            await manager.end(raising=exc)
            raise
        finally:
            requested.cancel()
        await manager.shutdown()
        # A start-up that failed has shut the manager down itself, and is only now about to raise.
        await BoundedWait().wait((starting,), 0)
        if starting.done() and peek_exception(starting) is not None:
            starting.result()
    return manager.stop_signal


async def _start_up(
    manager: AsyncManager, startup_func: Callable[[], Any] | None, cleanup_func: Callable[[], Any] | None
) -> None:
    await manager.start()
    if startup_func is not None:
        await call_and_await(startup_func)
    # No await from here on, so that it cannot be cancelled between the start-up and the promise to clean up
    # after it.
    if cleanup_func is not None and not manager.closed:
        manager.add_final_hook(cleanup_func)


@contextmanager
def _stop_on(signals: Iterable[int], manager: AsyncManager) -> Generator[None, None, None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(manager.request_shutdown, signal.Signals(number))

    previous: dict[int, Any] = {}
    with _wake_on_signals(loop):
        try:
            for number in signals:
                previous[number] = signal.signal(number, stop)
            yield
        finally:
            for number, handler in previous.items():
                if handler is not None:  # None: it was not installed from Python, and cannot be from here
                    signal.signal(number, handler)


@contextmanager
def _wake_on_signals(loop: asyncio.AbstractEventLoop) -> Generator[None, None, None]:
    reading, writing = socket.socketpair()
    with reading, writing:
        reading.setblocking(False)
        writing.setblocking(False)
        before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            # Somebody else's, usually that of this very loop, wakes it too, and runs other signal handlers
            # besides.
            if before != -1:
                signal.set_wakeup_fd(before)
            else:
                loop.add_reader(reading, _drain, reading)  # the virtual clock knows it by this function
            yield
        finally:
            if before == -1:
                loop.remove_reader(reading)
                now = signal.set_wakeup_fd(-1)
                if (
                    now != writing.fileno()
                ):  # the loop's, since `loop.add_signal_handler` was called meanwhile
                    signal.set_wakeup_fd(now)


def _drain(reading: socket.socket) -> None:
    reading.recv(4096)
