"""Every private attribute of asyncio and of the warnings module that the detectors touch, with its reason.

Nothing else in `pytest_uno.leaks` may read or write an underscore attribute of theirs. What is missing
reads as "unknown". `tests/leaks/test_asyncio_internals.py` checks each of them on every supported Python.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sys
import types
import warnings
from asyncio import base_events, events, futures, timeouts
from collections.abc import Callable, Mapping
from types import AsyncGeneratorType
from typing import Any, TypeAlias, cast

__all__ = [
    "ON_TIMEOUT",
    "POLICY_SETTER",
    "RUN_HANDLE",
    "RUN_ONCE",
    "WAKE_UP",
    "AsyncGenerator",
    "arguments_of",
    "callback_of",
    "closes_generator",
    "context_of",
    "coroutine_of",
    "event_loop_policy",
    "forget_exception",
    "forget_pending",
    "has_open_transport",
    "is_open_generator",
    "is_same_policy",
    "loop_of_transport",
    "open_connections",
    "put_policy_back",
    "reader_and_writer",
    "selector_of",
    "shorten_traceback",
    "signal_handle",
    "task_context",
    "timers_of",
    "warning_sink",
    "wheels_of",
]

AsyncGenerator: TypeAlias = "AsyncGeneratorType[Any, Any]"

WAKE_UP: Callable[..., object] | None = getattr(futures, "_set_result_unless_cancelled", None)
"""The callback of the timers of `asyncio.sleep` (3.11 to 3.15)."""

ON_TIMEOUT: object = getattr(timeouts.Timeout, "_on_timeout", None)
"""The callback of the timers of `asyncio.timeout` (3.11 to 3.15), a function."""

RUN_HANDLE: types.CodeType = events.Handle._run.__code__  # pyright: ignore[reportPrivateUsage]
"""The code that runs a callback (3.11 to 3.15); below it on the stack is the loop."""

RUN_ONCE: types.CodeType = getattr(base_events.BaseEventLoop, "_run_once").__code__  # noqa: B009
"""The code of one turn of asyncio's loops (3.11 to 3.15)."""

POLICY_SETTER = (
    "_set_event_loop_policy" if hasattr(events, "_set_event_loop_policy") else "set_event_loop_policy"
)
"""What sets the event loop policy in `asyncio.events`: since 3.14 the public function is deprecated, and says so
to its caller, before it calls this one."""


def context_of(handle: object) -> contextvars.Context | None:
    """Return the context that a handle's callback runs in.

    `Handle._context` (3.11 to 3.15); public as `Handle.get_context` since 3.12.

    Args:
        handle: what a loop hands to its exception handler.
    """
    return cast("contextvars.Context | None", getattr(handle, "_context", None))


def callback_of(handle: object) -> Callable[..., object] | None:
    """Return the callback of a handle; the loop's message names it too, but with memory addresses.

    `Handle._callback` (3.11 to 3.15).

    Args:
        handle: what a loop hands to its exception handler.
    """
    return cast("Callable[..., object] | None", getattr(handle, "_callback", None))


def arguments_of(handle: object) -> tuple[object, ...]:
    """Return the arguments of a handle's callback; none of one that was cancelled.

    `Handle._args` (3.11 to 3.15).

    Args:
        handle: a handle of a loop.
    """
    return cast("tuple[object, ...] | None", getattr(handle, "_args", None)) or ()


def timers_of(loop: asyncio.AbstractEventLoop) -> list[asyncio.TimerHandle]:
    """Return the timers that are scheduled on a loop, cancelled ones among them, in no order.

    `BaseEventLoop._scheduled` (3.11 to 3.15), a heap; other loops show none.

    Args:
        loop: any loop.
    """
    return list(cast("list[asyncio.TimerHandle]", getattr(loop, "_scheduled", ())))


def shorten_traceback(handle: object) -> None:
    """Leave our own frame out of the place that debug mode keeps with a handle.

    `Handle._source_traceback` (3.11 to 3.15).

    Args:
        handle: what the loop has just made for us.
    """
    frames: list[object] | None = getattr(handle, "_source_traceback", None)
    if frames:
        del frames[-1]


def reader_and_writer(
    loop: asyncio.AbstractEventLoop, descriptor: int
) -> tuple[asyncio.Handle | None, asyncio.Handle | None]:
    """Return the handles that a loop runs when a descriptor is ready.

    `BaseSelectorEventLoop._selector` (3.11 to 3.15); its data are the two. Other loops show none.

    Args:
        loop: any loop.
        descriptor: the number.
    """
    selector: Any = getattr(loop, "_selector", None)
    keys: Mapping[Any, Any] | None = None if selector is None else selector.get_map()
    key = None if keys is None else keys.get(descriptor)  # a closed selector has no map
    return (None, None) if key is None or key.data is None else key.data


def selector_of(loop: object) -> object | None:
    """Return the selector that a loop asks once a turn.

    `BaseSelectorEventLoop._selector` (3.11 to 3.15); other loops show none.

    Args:
        loop: any loop.
    """
    return getattr(loop, "_selector", None)


def signal_handle(loop: asyncio.AbstractEventLoop, signum: int) -> asyncio.Handle | None:
    """Return the handle that a loop runs at a signal.

    `_UnixSelectorEventLoop._signal_handlers` (3.11 to 3.15); other loops show none.

    Args:
        loop: any loop.
        signum: the signal.
    """
    handlers: Mapping[int, asyncio.Handle] = getattr(loop, "_signal_handlers", None) or {}
    return handlers.get(signum)


def open_connections(loop: asyncio.AbstractEventLoop) -> list[asyncio.Transport | asyncio.DatagramTransport]:
    """Return the connections of a loop that nobody has closed.

    `BaseSelectorEventLoop._transports` (3.11 to 3.15) is by descriptor; other loops show none.

    Args:
        loop: any loop.
    """
    transports: Mapping[int, asyncio.Transport | asyncio.DatagramTransport] = (
        getattr(loop, "_transports", None) or {}
    )
    return [transport for transport in list(transports.values()) if not transport.is_closing()]


def has_open_transport(loop: asyncio.AbstractEventLoop, protocol: object) -> bool:
    """Say whether a protocol has a connection that nobody has closed.

    With TLS, `SSLProtocol._app_protocol` (3.11 to 3.15) is the user's.

    Args:
        loop: any loop.
        protocol: the protocol.
    """
    for transport in open_connections(loop):
        direct = transport.get_protocol()
        if protocol in (direct, getattr(direct, "_app_protocol", None)):
            return True
    return False


def loop_of_transport(transport: object) -> asyncio.AbstractEventLoop | None:
    """Return the loop of a transport that can be aborted; None of anything else.

    `_SelectorTransport._loop`, `_ProactorBasePipeTransport._loop` and `_SSLProtocolTransport._loop` (3.11 to 3.15);
    the transports of uvloop have the same.

    Args:
        transport: any object.
    """
    if not hasattr(transport, "abort"):
        return None
    return cast("asyncio.AbstractEventLoop | None", getattr(transport, "_loop", None))


def wheels_of(loop: asyncio.AbstractEventLoop) -> tuple[object, ...]:
    """Return what a loop itself has opened: its selector, and the sockets that wake it up.

    `BaseSelectorEventLoop._selector`, `_ssock` and `_csock` (3.11 to 3.15).

    Args:
        loop: any loop.
    """
    wheels = [getattr(loop, name, None) for name in ("_selector", "_ssock", "_csock")]
    return tuple(wheel for wheel in wheels if wheel is not None)


def is_open_generator(loop: asyncio.AbstractEventLoop, generator: AsyncGenerator) -> bool:
    """Say whether a generator is one that a loop would close at its end.

    `BaseEventLoop._asyncgens` (3.11 to 3.15); the generator of another loop is not in it.

    Args:
        loop: any loop.
        generator: the generator.
    """
    return generator in getattr(loop, "_asyncgens", ()) and generator.ag_frame is not None


def closes_generator(coroutine: object) -> bool:
    """Say whether a task closes an async generator, as those that a loop makes for dropped ones do.

    Args:
        coroutine: what the task runs.
    """
    return type(coroutine).__name__ == "async_generator_athrow"


def coroutine_of(task: asyncio.Task[Any]) -> object:
    """Return what a task runs or has run; None if it has let go of it, as one does that started eagerly.

    `Task._coro` (3.11 to 3.15): the public `Task.get_coro()` of 3.12.0 and 3.12.1 crashes the interpreter if
    an eager start has finished the task.

    Args:
        task: the task.
    """
    return getattr(task, "_coro") if hasattr(task, "_coro") else task.get_coro()  # noqa: B009


def task_context(task: asyncio.Task[Any]) -> contextvars.Context | None:
    """Return the context of a task; None on 3.11, which keeps it to itself.

    Args:
        task: the task.
    """
    get_context = getattr(task, "get_context", None)
    return None if get_context is None else get_context()


def forget_pending(task: asyncio.Task[Any]) -> None:
    """Keep a task from complaining that it was destroyed while pending.

    `Task._log_destroy_pending` (3.11 to 3.15): asyncio's own `gather` and `shutdown` set it the same way.

    Args:
        task: a task that has been reported already.
    """
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def forget_exception(future: asyncio.Future[Any]) -> None:
    """Keep a failed future from complaining that its exception was never retrieved.

    Args:
        future: a future or task that is done; may be cancelled.
    """
    if not future.cancelled():
        future.exception()


def warning_sink() -> object:
    """Return what receives warnings at this moment; another object inside of `catch_warnings(record=True)`.

    `warnings._showwarnmsg_impl` (3.11 to 3.15) is what `catch_warnings` replaces. With context-aware
    warnings (3.14 and newer, the default of free-threaded builds) it is the `log` of
    `warnings._get_context()`.
    """
    if getattr(sys.flags, "context_aware_warnings", False):
        log = getattr(warnings._get_context(), "log", None)  # type: ignore[attr-defined]
        if log is not None:
            return log
    return warnings._showwarnmsg_impl  # type: ignore[attr-defined]


def event_loop_policy() -> object:
    """Return the event loop policy; None before the first was made.

    `events._event_loop_policy` (3.11 to 3.15): the public function makes one, and is deprecated since 3.14.
    """
    return getattr(events, "_event_loop_policy", None)


def put_policy_back(policy: object) -> None:
    """Set the event loop policy, as its public function does, which is deprecated since 3.14.

    Args:
        policy: what `event_loop_policy` returned.
    """
    events._event_loop_policy = policy  # type: ignore[attr-defined]


def is_same_policy(policy: object, other: object) -> bool:
    """Say whether it makes no difference which of two event loop policies is set.

    Args:
        policy: what `event_loop_policy` returned at one moment.
        other: what it returned at another; None is asyncio's own one, that is yet to be made.
    """
    return policy is other or (_is_default_policy(policy) and _is_default_policy(other))


def _is_default_policy(policy: object) -> bool:
    return policy is None or type(policy) is _default_policy()


@functools.cache
def _default_policy() -> type[object] | None:
    """Return the class of asyncio's own policy: since 3.14 its name has an underscore."""
    module = sys.modules.get("asyncio.unix_events") or sys.modules.get("asyncio.windows_events")
    return getattr(module, "_DefaultEventLoopPolicy", None) or getattr(module, "DefaultEventLoopPolicy", None)
