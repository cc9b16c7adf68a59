"""Which factory makes a loop, and the end of virtual loops."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import warnings

import pytest

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.harness.asyncio_internals import cancel_all_tasks, has_default_policy, is_default_policy
from pytest_uno.harness.clock_turns import SharedClocks
from pytest_uno.harness.loop_making import describe_factory, factory_of_own_loop, factory_of_shared_loop


def default_policy() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated since 3.14
        return asyncio.get_event_loop_policy()


def make_plain_loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop()


def test_nothing_is_changed_for_a_test_on_real_time() -> None:
    assert factory_of_own_loop(None, needs_clock=False) is None
    assert factory_of_own_loop(make_plain_loop, needs_clock=False) is make_plain_loop


def test_the_default_policy_is_known_whether_or_not_it_is_made() -> None:
    policy = default_policy()
    assert is_default_policy(policy)
    assert has_default_policy()
    assert factory_of_own_loop(None, needs_clock=True) is VirtualEventLoop
    assert factory_of_shared_loop(policy, None) is (None if sys.platform == "win32" else VirtualEventLoop)


def test_another_policy_is_asked_for_its_loop() -> None:
    class Policy:
        made = 0

        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            self.made += 1
            return make_plain_loop()

    policy = Policy()
    factory = factory_of_shared_loop(policy, None)
    assert factory is not None
    loop = factory()
    assert (type(loop), policy.made) == (VirtualEventLoop, 1)
    loop.close()


def test_on_windows_a_plain_test_keeps_the_loop_that_has_subprocesses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = default_policy()
    monkeypatch.setattr(sys, "platform", "win32")
    assert factory_of_shared_loop(policy, None) is None
    assert factory_of_shared_loop(policy, None, is_for_uno=True) is VirtualEventLoop


def test_factories_are_named() -> None:
    assert describe_factory(None) == "the event loop policy"
    assert describe_factory(make_plain_loop).startswith(f"the factory {__name__}.make_plain_loop of ")


def test_shared_clocks_are_switched_lent_and_let_go() -> None:
    shared = SharedClocks(lambda task: None)
    loop, foreign = VirtualEventLoop(), asyncio.SelectorEventLoop()
    try:
        shared.add(loop)
        shared.add(foreign)
        assert not loop.clock.is_virtual
        begin, end = shared.keep_for_teardown()
        shared.switch("virtual")
        assert loop.clock.is_virtual
        begin()
        assert not loop.clock.is_virtual
        end()
        assert loop.clock.is_virtual
        end()  # as after a set-up that failed: there is nothing to put back
        shared.remove(foreign)
        shared.remove(loop)
        shared.remove(loop)
        shared.switch("real")
        assert loop.clock.is_virtual
    finally:
        loop.close()
        foreign.close()


def test_the_end_of_a_virtual_loop_takes_no_time_and_outlasts_its_limits() -> None:
    async def end_slowly() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(3)
            ended.append(loop.time())

    async def stubborn() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1)

    async def polling() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)

    ended: list[float] = []
    loop = VirtualEventLoop()
    try:
        budgets = loop.clock.budgets
        slow, stays = loop.create_task(end_slowly()), loop.create_task(stubborn())
        loop.run_until_complete(asyncio.sleep(1))
        assert cancel_all_tasks(loop, 5) == {stays}
        assert slow.done()
        assert ended == [4]
        busy = loop.create_task(polling())
        loop.run_until_complete(asyncio.sleep(0))
        assert cancel_all_tasks(loop, 0.01) == {busy}
        assert asyncio.all_tasks(loop) == set()
        assert loop.clock.budgets is budgets
    finally:
        loop.close()
