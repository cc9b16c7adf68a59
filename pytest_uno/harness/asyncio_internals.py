"""The private names of asyncio that the harness touches, each with its reason.

`tests/harness/test_asyncio_internals.py` checks them on every supported Python.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio import events as asyncio_events
from asyncio import tasks as asyncio_tasks
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from pytest_uno.clock.virtual_loop import VirtualEventLoop
from pytest_uno.core.errors import ClockError

__all__ = [
    "cancel_all_tasks",
    "give_up_task",
    "has_default_policy",
    "is_default_policy",
    "needs_asyncgen_shutdown",
    "needs_executor_shutdown",
    "run_at_once",
]

if sys.platform == "win32":  # pragma: no cover - Windows only
    from asyncio import windows_events as _platform_events
else:
    from asyncio import unix_events as _platform_events

# Since 3.14 policies are deprecated, and the class has an underscore.
_DEFAULT_POLICY: Any = (
    getattr(_platform_events, "_DefaultEventLoopPolicy", None) or _platform_events.DefaultEventLoopPolicy
)


def is_default_policy(policy: object) -> bool:
    """Tell whether a policy is the one that asyncio begins with."""
    return type(policy) is _DEFAULT_POLICY


def has_default_policy() -> bool:
    """Tell whether nobody has set an event loop policy; to ask the public function is deprecated since 3.14."""
    policy = getattr(asyncio_events, "_event_loop_policy", None)
    return policy is None or is_default_policy(policy)


def cancel_all_tasks(loop: asyncio.AbstractEventLoop, patience: float) -> set[asyncio.Task[Any]]:
    """Cancel every task of a loop and wait for their end, as `asyncio.run` does, but not for ever.

    A task that ignores its cancellation would hang the run: it is given up. On virtual time it may keep the clock from
    moving as well; so the patience is one of real time, too.

    Args:
        loop: the loop; must be neither running nor closed.
        patience: how long to wait, in seconds of the loop's clock, and of real time.

    Returns:
        The tasks that go on.
    """
    cancelled = asyncio.all_tasks(loop)
    if not cancelled:
        return set()
    for task in cancelled:
        task.cancel()
    if isinstance(loop, VirtualEventLoop):
        clock, budgets = loop.clock, loop.clock.budgets
        clock.reset()  # whatever limit the test ran into, this is new
        clock.budgets = replace(budgets, stall=patience, busy_limit=patience)
        with contextlib.suppress(ClockError):
            loop.run_until_complete(asyncio.wait(cancelled, timeout=patience))
        clock.budgets = budgets
    else:
        loop.run_until_complete(asyncio.wait(cancelled, timeout=patience))
    stubborn: set[asyncio.Task[Any]] = set()
    for task in cancelled:
        if not task.done():
            stubborn.add(task)
            give_up_task(task)
        elif not task.cancelled() and (error := task.exception()) is not None:
            loop.call_exception_handler(
                {
                    "message": "unhandled exception while the loop of a test was closed",
                    "exception": error,
                    "task": task,
                }
            )
    return stubborn


def give_up_task(task: asyncio.Task[Any]) -> None:
    """Let a task that cannot be ended go without a word.

    It is taken off asyncio's own list (`_unregister_task`), where whoever closes the loop would find it again, and does
    not complain when it is destroyed (`_log_destroy_pending`); both exist on 3.11 to 3.15.
    """
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    asyncio_tasks._unregister_task(task)


def needs_asyncgen_shutdown(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether a loop has live async generators; yes for a loop that does not say (uvloop)."""
    return bool(getattr(loop, "_asyncgens", True))


def needs_executor_shutdown(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether a loop made its default executor; yes for a loop that does not say (uvloop)."""
    return getattr(loop, "_default_executor", loop) is not None


def run_at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that has nothing to wait for, where no loop can run it.

    Args:
        coroutine: the coroutine.

    Returns:
        What it returned.

    Raises:
        RuntimeError: it waits for something.
        BaseException: what it raised.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} waits for something")
