"""A moment's grace before judgement, and the reaping after it.

What was cancelled or told to close needs a few turns of the loop to be gone, and nothing that ends by
itself within them is a leak. What has leaked is cancelled once it is reported, so that it cannot touch the
next test. Both are bounded in real time, which for the grace is counted in naps: a busy machine that takes long over
one of them takes nothing away. A virtual clock, which stands still while nobody waits for it, flows at
real speed meanwhile: what sleeps for a millisecond in its cleanup ends as it would on asyncio's own loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pytest_uno.clock.virtual_loop import VirtualEventLoop
from pytest_uno.leaks.asyncio_internals import forget_exception, forget_pending

__all__ = ["can_turn", "reap", "settle", "settle_by_turns", "settle_in_threads", "settle_in_time", "turn"]

T = TypeVar("T")

_TURNS = 10
"""Turns of the loop that are given to anything: a cancelled task that awaits a few things in its cleanup
needs some."""

_GRACE = 0.02
"""Real seconds that are given to what is being cancelled."""

_NAP = 0.001
"""Real seconds between two looks."""

_REAPING = 0.25
"""Real seconds within which a cancelled task must end."""


def can_turn(loop: asyncio.AbstractEventLoop) -> bool:
    """Say whether the loop may be run from here.

    Args:
        loop: the loop.
    """
    return not loop.is_closed() and not loop.is_running()


def turn(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop run what is ready now, once, without waiting.

    Args:
        loop: the loop; must be neither running nor closed.
    """
    loop.call_soon(loop.stop)
    loop.run_forever()


def settle(
    loop: asyncio.AbstractEventLoop,
    suspects: Callable[[], Iterable[asyncio.Task[Any]]],
    *,
    # Bound here, so that a test which replaces the module's functions does not stop our naps.
    sleep: Callable[[float], None] = time.sleep,
) -> list[asyncio.Task[Any]]:
    """Give suspects a moment to end.

    Args:
        loop: the loop they run on; a loop that cannot be run is left alone.
        suspects: names those that have not ended yet; asked again and again.
        sleep: sleeps in real time.

    Returns:
        Those that have not ended.
    """
    pending = list(suspects())
    if not can_turn(loop):
        return pending
    turns = 0
    while pending and turns < _TURNS:
        turn(loop)
        turns += 1
        pending = list(suspects())
    # The naps are counted and not the time: on a busy machine one nap would use up all of it, and what that has woken
    # would not get the turns to end. Virtual time flows by as much in any case.
    naps = round(_GRACE / _NAP)
    while naps and any(task.cancelling() for task in pending):
        sleep(_NAP)
        naps -= 1
        _let_flow(loop, _NAP)
        turn(loop)
        pending = list(suspects())
    return pending


def settle_by_turns(loop: asyncio.AbstractEventLoop, suspects: Callable[[], list[T]]) -> list[T]:
    """Give suspects a few turns of the loop to end, and no time: what closes a connection ends its timers soon.

    Args:
        loop: the loop; one that cannot be run is left alone.
        suspects: names those that have not ended yet; asked again and again.

    Returns:
        Those that have not ended.
    """
    found = suspects()
    turns = 0
    while found and turns < _TURNS and can_turn(loop):
        turn(loop)
        turns += 1
        found = suspects()
    return found


def settle_in_time(
    loop: asyncio.AbstractEventLoop,
    suspects: Callable[[], list[T]],
    *,
    seconds: float = _GRACE,
    now: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> list[T]:
    """Give suspects some turns of the loop and a moment of real time to end: what the other end, or a process, does.

    Args:
        loop: the loop; one that cannot be run is left alone, and only the time passes.
        suspects: names those that have not ended yet; asked again and again.
        seconds: the moment, in real seconds.
        now: the real time.
        sleep: sleeps in real time.

    Returns:
        Those that have not ended.
    """
    found, passed, looks = settle_by_turns(loop, suspects), 0.0, 0
    # On a busy machine one nap may take all the time: who has ended meanwhile needs turns until that is seen.
    while found and (passed < seconds or looks < _TURNS):
        begun = now()
        sleep(_NAP)
        nap = max(_NAP, now() - begun)
        passed += nap
        looks += 1
        if can_turn(loop):
            _let_flow(loop, nap)
            turn(loop)
        found = suspects()
    return found


def settle_in_threads(
    things: list[T], is_suspect: Callable[[T], bool], *, sleep: Callable[[float], None] = time.sleep
) -> list[T]:
    """Give suspects a moment of real time if there are other threads: one may be about to use what it has just made.

    No loop is run. Costs nothing without a suspect.

    Args:
        things: the suspects.
        is_suspect: says whether one of them still is; asked again and again.
        sleep: sleeps in real time.

    Returns:
        Those that are suspects still.
    """
    naps = round(_GRACE / _NAP)
    while things and naps and threading.active_count() > 1:
        sleep(_NAP)
        naps -= 1
        things = [thing for thing in things if is_suspect(thing)]
    return things


def reap(
    loop: asyncio.AbstractEventLoop,
    tasks: Iterable[asyncio.Task[Any]],
    *,
    now: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> list[asyncio.Task[Any]]:
    """Cancel tasks and wait for them to end, in bounded time; what they raise is dropped.

    Args:
        loop: the loop they run on; a loop that cannot be run is left alone.
        tasks: the tasks.
        now: the real time.
        sleep: sleeps in real time.

    Returns:
        Those that ignored their cancellation and run on.
    """
    pending = list(tasks)
    ended: list[asyncio.Task[Any]] = []
    next_cancel = now()
    end = next_cancel + _REAPING
    while pending and can_turn(loop):
        # A clean-up that waits for a thread or another process gets its moment before it is cancelled in turn.
        if now() >= next_cancel:
            next_cancel = now() + _GRACE
            for task in pending:
                task.cancel()
        turn(loop)
        ended += [task for task in pending if task.done()]
        pending = [task for task in pending if not task.done()]
        if pending:
            if now() >= end:
                break
            sleep(_NAP / 2)
            _let_flow(loop, _NAP / 2)
    for task in ended:
        forget_exception(task)
    for task in pending:
        forget_pending(task)
    return pending


def _let_flow(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """Let virtual time flow as far as real time has passed."""
    if isinstance(loop, VirtualEventLoop) and loop.clock.is_virtual:
        loop.clock.leap(seconds)
