"""Which class of loop a test or a wider scope gets.

Virtual time is a property of the loop: it needs `VirtualEventLoop`. Where nobody asked for another loop, ours is made
at once. A factory or policy of the user is obeyed; when it makes no more than asyncio's plain loop, ours takes its
place, because it does the same. Any other loop (uvloop) has no virtual time: it serves tests on real time, and a test
on virtual time says so.

A loop that lives longer than one test is made of our class as well, whoever asks for it first: the tests that share it
may want different clocks. It runs on real time, except for uno tests on virtual time.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pytest_uno.clock.virtual_loop import VirtualEventLoop
from pytest_uno.core.errors import compose_message
from pytest_uno.harness.asyncio_internals import has_default_policy, is_default_policy

__all__ = [
    "LoopFactory",
    "check_virtual_time",
    "describe_factory",
    "factory_of_own_loop",
    "factory_of_shared_loop",
]

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def factory_of_own_loop(
    factory: LoopFactory | None, *, needs_clock: bool, ours: LoopFactory = VirtualEventLoop
) -> LoopFactory | None:
    """Return what makes the loop of one test.

    Args:
        factory: the user's, if there is one.
        needs_clock: the test runs on virtual time, or asks for its clock.
        ours: makes a loop that has both.

    Returns:
        The factory; None for the loop that asyncio makes by itself.
    """
    if not needs_clock:
        return factory
    if factory is None:
        return ours if has_default_policy() else _in_place_of_plain(asyncio.new_event_loop)
    return _in_place_of_plain(factory)


def factory_of_shared_loop(
    policy: Any, factory: LoopFactory | None, *, is_for_uno: bool = False
) -> LoopFactory | None:
    """Return what makes a loop that pytest-asyncio owns, and that tests of any kind may share.

    Args:
        policy: the event loop policy in force for it.
        factory: the user's, if there is one.
        is_for_uno: the test that asks first is a uno test.
    """
    if factory is not None:
        return _in_place_of_plain(factory)
    if not is_default_policy(policy):
        return _in_place_of_plain(policy.new_event_loop)
    if sys.platform == "win32" and not is_for_uno:
        return None  # the default loop there is another one, with subprocesses
    return VirtualEventLoop


def _in_place_of_plain(factory: LoopFactory) -> LoopFactory:
    def make() -> asyncio.AbstractEventLoop:
        loop = factory()
        if type(loop) is not asyncio.SelectorEventLoop:
            return loop
        loop.close()
        return VirtualEventLoop()

    return make


def describe_factory(factory: LoopFactory | None) -> str:
    """Say what a loop comes from.

    Args:
        factory: the user's, if there is one.
    """
    if factory is None:
        return "the event loop policy"
    name = getattr(factory, "__qualname__", None) or repr(factory)
    return f"the factory {getattr(factory, '__module__', '?')}.{name} of pytest_asyncio_loop_factories"


def check_virtual_time(item: pytest.Item, loop: asyncio.AbstractEventLoop, source: str) -> None:
    """See that a test on virtual time has a loop for it.

    Args:
        item: the test.
        loop: its loop.
        source: where the loop came from, for the message.

    Raises:
        pytest.fail.Exception: the loop knows real time only, or looptime has taken it over.
    """
    kind = type(loop)
    if kind is VirtualEventLoop:
        return
    taken_over = any(base.__module__.partition(".")[0] == "looptime" for base in kind.__mro__)
    if isinstance(loop, VirtualEventLoop) and not taken_over:
        return
    name = f"{kind.__module__}.{kind.__qualname__}"
    if taken_over:
        cause, fix = (
            "looptime's plugin is installed, and changes the class of every loop that tests share",
            "switch it off with -p no:looptime_plugin, or run the test with clock='real'",
        )
    else:
        cause, fix = (
            f"the loop was made by {source}",
            "run the test with clock='real', or remove what makes the loop; "
            "a subclass of pytest_uno.clock.VirtualEventLoop has virtual time, too",
        )
    pytest.fail(
        compose_message(
            f"{item.nodeid}: the loop {name} has no virtual time",
            cause=cause,
            fix=fix,
            anchor="no-virtual-time",
        ),
        pytrace=False,
    )
