"""Calling a coroutine function again when it fails.

Why not one of the libraries: the time budget must be read from the event loop's clock, which under test is a
virtual one. A budget read from `time.monotonic` never runs out there, and every call makes all its attempts.
And importing one of them costs several times as much as the whole core.

Strategies with jitter follow Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import asyncio
import enum
import functools
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from pytest_uno.core.asyncio_internals import FAILED_GROUP_CANCELS_HOST
from pytest_uno.core.coroutine_functions import require_coroutine_function
from pytest_uno.core.errors import compose_message
from pytest_uno.core.uninterrupted import add_note_once

if TYPE_CHECKING:
    import random

__all__ = ["BackoffStrategy", "retry"]

P = ParamSpec("P")
T = TypeVar("T")

_logger = logging.getLogger("pytest_uno")
_HISTORY = 10  # failures that the note on the last error lists


class BackoffStrategy(enum.Enum):
    """How the pause before attempt number n + 1 is worked out. No pause is ever longer than `max_delay`."""

    CONSTANT = "constant"
    """`base_delay`"""

    LINEAR = "linear"
    """`base_delay + (n - 1) * backoff_factor`: the factor is in seconds here"""

    EXPONENTIAL = "exponential"
    """`base_delay * backoff_factor ** (n - 1)`"""

    FULL_JITTER = "full_jitter"
    """between 0 and the exponential pause times `jitter_factor`"""

    EQUAL_JITTER = "equal_jitter"
    """half of the exponential pause, plus between 0 and the other half times `jitter_factor`"""

    DECORRELATED = "decorrelated"
    """between `base_delay` and three times the previous pause times `jitter_factor`"""


def _draw(low: float, high: float) -> float:
    import random  # not before it is needed: importing it takes longer than importing the core

    return random.uniform(low, high)


def _work_out_pause(
    strategy: BackoffStrategy,
    attempt: int,
    previous: float,
    base_delay: float,
    max_delay: float,
    factor: float,
    jitter: float,
    uniform: Callable[[float, float], float],
) -> float:
    if strategy is BackoffStrategy.CONSTANT:
        pause = base_delay
    elif strategy is BackoffStrategy.LINEAR:
        pause = base_delay + (attempt - 1) * factor
    elif strategy is BackoffStrategy.DECORRELATED:
        pause = uniform(base_delay, max(base_delay, previous * 3 * jitter))
    else:
        try:
            # Capped before the jitter: else the cap would undo it, and all callers would pause alike.
            pause = min(max_delay, base_delay * factor ** (attempt - 1))
        except OverflowError:
            pause = max_delay
        if strategy is BackoffStrategy.FULL_JITTER:
            pause = uniform(0, pause * jitter)
        elif strategy is BackoffStrategy.EQUAL_JITTER:
            pause = pause / 2 + uniform(0, pause / 2 * jitter)
    return min(pause, max_delay)


def _check_numbers(
    max_attempts: object,
    base_delay: float,
    max_delay: float,
    factor: float,
    jitter: float,
    timeout: float | None,
) -> None:
    infinity = float("inf")
    if isinstance(max_attempts, bool) or not isinstance(max_attempts, int) or max_attempts < 1:
        problem = f"max_attempts must be an integer of at least 1, got {max_attempts!r}"
    elif not 0 <= base_delay <= max_delay < infinity:  # written so that NaN fails, too
        problem = f"0 <= base_delay <= max_delay does not hold for {base_delay!r} and {max_delay!r} seconds"
    elif not 0 < factor < infinity:
        problem = f"backoff_factor must be positive, got {factor!r}"
    elif not 0 <= jitter <= 1:
        problem = f"jitter_factor must be between 0 and 1, got {jitter!r}"
    elif timeout is not None and not timeout >= 0:
        problem = f"timeout must not be negative, got {timeout!r} seconds"
    else:
        return
    raise ValueError(
        compose_message(f"retry: {problem}", fix="pass a value in that range", anchor="retry-arguments")
    )


def _collect_types(
    retry_exceptions: type[Exception] | Iterable[type[Exception]],
) -> tuple[type[Exception], ...]:
    types = (retry_exceptions,) if isinstance(retry_exceptions, type) else tuple(retry_exceptions)
    unchecked: Any = types
    for candidate in unchecked:
        if not (isinstance(candidate, type) and issubclass(candidate, Exception)):
            raise TypeError(
                compose_message(
                    f"retry_exceptions must be subclasses of Exception, got {candidate!r}",
                    cause="CancelledError, KeyboardInterrupt and SystemExit ask the task to end",
                    fix="name exceptions that another attempt can cure",
                    anchor="retry-exceptions",
                )
            )
    return types


def _is_match(exc: Exception, types: tuple[type[Exception], ...]) -> bool:
    if isinstance(exc, ExceptionGroup):
        rest: object = cast("Any", exc).split(types)[1]
        return rest is None  # every leaf matches, or the group as such does
    return isinstance(exc, types)


def _add_history(exc: Exception, attempt: int, spent: float, earlier: deque[str]) -> None:
    if attempt > 1:
        unlisted = attempt - 1 - len(earlier)
        listed = "; ".join(earlier)
        add_note_once(
            exc,
            f"retry: gave up after {attempt} attempts in {spent:.3g} s; before that: "
            + (f"{unlisted} more; {listed}" if unlisted else listed),
        )


@overload
def retry(max_attempts: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Coroutine[Any, Any, T]]: ...


@overload
def retry(
    max_attempts: int = 3,
    *,
    retry_exceptions: type[Exception] | Iterable[type[Exception]] = Exception,
    base_delay: float = 0.1,
    max_delay: float = 10.0,
    backoff_strategy: BackoffStrategy | str = BackoffStrategy.EXPONENTIAL,
    backoff_factor: float = 2.0,
    jitter_factor: float = 1.0,
    retry_condition: Callable[[Exception], bool] | None = None,
    on_retry: Callable[[Exception, int, float], Awaitable[object] | object] | None = None,
    timeout: float | None = None,
    rng: random.Random | None = None,
    logger: logging.Logger | None = None,
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]: ...


def retry(
    max_attempts: Any = 3,
    *,
    retry_exceptions: type[Exception] | Iterable[type[Exception]] = Exception,
    base_delay: float = 0.1,
    max_delay: float = 10.0,
    backoff_strategy: BackoffStrategy | str = BackoffStrategy.EXPONENTIAL,
    backoff_factor: float = 2.0,
    jitter_factor: float = 1.0,
    retry_condition: Callable[[Exception], bool] | None = None,
    on_retry: Callable[[Exception, int, float], Awaitable[object] | object] | None = None,
    timeout: float | None = None,
    rng: random.Random | None = None,
    logger: logging.Logger | None = None,
) -> Any:
    """Call a coroutine function again when it fails: a decorator, also bare as `@retry`.

    A cancellation ends everything at once and is never retried. Pauses and the time budget are on the event
    loop's clock.

    Args:
        max_attempts: how often the function is called at most, the first call included.
        retry_exceptions: which errors to retry: a subclass of `Exception` or any iterable of them. An
            exception group is retried only if every exception in it matches.
        base_delay: the first pause, in seconds.
        max_delay: the longest pause, in seconds.
        backoff_strategy: how the pauses grow; a `BackoffStrategy` or its value.
        backoff_factor: what the pauses grow by; seconds with `LINEAR`, else a factor.
        jitter_factor: how much of the pause is random, from 0 to 1, for the strategies with jitter.
        retry_condition: called with an error that matches; false: it is not retried.
        on_retry: called with the error, the number of the attempt that failed (from 1) and the pause in
            seconds, before each pause; what it returns is awaited if it can be.
        timeout: the time budget in seconds. No attempt is started that the budget does not reach; one that
            runs is not interrupted. None for no limit.
        rng: where the jitter comes from; by default the `random` module.
        logger: gets a DEBUG record for each retry; by default `pytest_uno`.

    Returns:
        A decorator, or the decorated function if used bare.

    Raises:
        ValueError: a number is out of range, or the strategy is unknown.
        TypeError: `retry_exceptions` names something else than subclasses of `Exception`, or what is
            decorated is no coroutine function.
        Exception: when called: the last error, with the earlier ones in a note.

    Example:
        >>> @retry(5, retry_exceptions=ConnectionError, backoff_strategy="full_jitter", timeout=30)
        ... async def fetch(url): ...
    """
    if callable(max_attempts):
        decorate_bare: Any = retry()
        return decorate_bare(max_attempts)
    _check_numbers(max_attempts, base_delay, max_delay, backoff_factor, jitter_factor, timeout)
    types = _collect_types(retry_exceptions)
    strategy = BackoffStrategy(
        backoff_strategy.lower() if isinstance(backoff_strategy, str) else backoff_strategy
    )
    log = _logger if logger is None else logger

    def work_out_pause(attempt: int, previous: float) -> float:
        uniform = _draw if rng is None else rng.uniform
        return _work_out_pause(
            strategy, attempt, previous, base_delay, max_delay, backoff_factor, jitter_factor, uniform
        )

    def decorate(func: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        require_coroutine_function(func, "retry")

        @functools.wraps(func)
        async def call_until_success(*args: P.args, **kwargs: P.kwargs) -> T:
            loop = asyncio.get_running_loop()
            task = asyncio.current_task()
            cancelling = task.cancelling() if task else 0
            started = loop.time()
            pause = base_delay
            earlier: deque[str] = deque(maxlen=_HISTORY)
            attempt = 0
            while True:
                attempt += 1
                try:
                    return await func(*args, **kwargs)
                except Exception as exc:
                    # The task was cancelled and func made another error of that: to go on would be to swallow
                    # it. On 3.11 and 3.12 the count proves nothing, a failed TaskGroup inside func raises it.
                    is_cancelled = task is not None and task.cancelling() > cancelling
                    is_cancelled = is_cancelled and not FAILED_GROUP_CANCELS_HOST
                    retryable = not is_cancelled and _is_match(exc, types)
                    if retryable and retry_condition is not None:
                        retryable = bool(retry_condition(exc))
                    spent = loop.time() - started
                    if retryable and attempt < max_attempts:
                        pause = work_out_pause(attempt, pause)
                        retryable = timeout is None or spent + pause <= timeout
                    if not retryable or attempt >= max_attempts:
                        _add_history(exc, attempt, spent, earlier)
                        raise
                    earlier.append(repr(exc)[:200])
                    log.debug(
                        "%s failed (%r) in attempt %d of %d, next in %.3g s",
                        getattr(func, "__qualname__", func),
                        exc,
                        attempt,
                        max_attempts,
                        pause,
                    )
                    if on_retry is not None and inspect.isawaitable(told := on_retry(exc, attempt, pause)):
                        await told
                await asyncio.sleep(pause)

        return call_until_success

    return decorate
