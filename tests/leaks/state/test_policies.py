from __future__ import annotations

import asyncio
import inspect
import warnings
from asyncio import set_event_loop_policy as older_reference  # pyright: ignore[reportDeprecated]
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_uno.leaks.asyncio_internals import (
    POLICY_SETTER,
    event_loop_policy,
    is_same_policy,
    put_policy_back,
)
from pytest_uno.leaks.owners import Owner
from tests.leaks.examples import LineOf, nothing

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    Default: Any = asyncio.DefaultEventLoopPolicy  # type: ignore[attr-defined,unused-ignore]

    class Own(Default):  # type: ignore[misc]
        pass


def set_policy(policy: object) -> None:
    getattr(asyncio.events, POLICY_SETTER)(policy)


@pytest.fixture(autouse=True)
def policy() -> Iterator[object]:
    before = event_loop_policy()
    yield before
    put_policy_back(before)


async def changes() -> None:
    set_policy(Own())  # LEAK


async def changes_twice() -> None:
    set_policy(Default())
    set_policy(Own())
    set_policy(Own())  # LEAK


async def changes_in_a_thread() -> None:
    def work() -> None:
        set_policy(Own())  # LEAK

    await asyncio.to_thread(work)


async def puts_back() -> None:
    before = event_loop_policy()
    set_policy(Own())
    set_policy(before)


async def puts_default_back() -> None:
    set_policy(Own())
    set_policy(Own())
    set_policy(None)


async def makes_another_default() -> None:
    set_policy(Default())


@pytest.mark.parametrize("test", [changes, changes_twice, changes_in_a_thread])
def test_a_change_is_reported_once_and_undone(bench: Any, test: Any, line_of: LineOf, policy: object) -> None:
    (finding,) = bench.run_test(test, loop_ends=False)
    assert (finding.rule, finding.subject) == ("UNO504", "event loop policy was set to Own and not put back")
    assert finding.created[1].line == line_of(test, "# LEAK")  # below `set_policy`
    assert is_same_policy(event_loop_policy(), policy)
    assert bench.run_test(nothing) == []


@pytest.mark.parametrize("test", [puts_back, puts_default_back, makes_another_default])
def test_a_policy_that_makes_no_difference_is_silent(bench: Any, test: Any) -> None:
    assert bench.run_test(test) == []
    assert bench.run_test(nothing) == []


def test_a_change_by_an_older_reference_is_the_tests(bench: Any) -> None:
    async def test() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            inspect.unwrap(older_reference)(Own())

    (finding,) = bench.run_test(test, owner=Owner("test", "test_x", file="test_x.py", line=3))
    assert finding.rule == "UNO504"
    if not POLICY_SETTER.startswith("_"):  # since 3.14 even this one is seen where it is called
        assert (finding.created[0].file, finding.created[0].line) == ("test_x.py", 3)
    assert bench.run_test(nothing) == []


def test_the_public_function_is_seen_too(bench: Any, line_of: LineOf) -> None:
    async def test() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            asyncio.set_event_loop_policy(Own())  # LEAK  # pyright: ignore[reportDeprecated]

    (finding,) = bench.run_test(test)
    assert finding.created[0].line == line_of(test, "# LEAK")


def test_a_wider_fixture_may_change_it_while_it_lives(bench: Any) -> None:
    fixture = Owner("fixture", "fast_loops", "module")
    bench.run_as(fixture, changes)
    policy = event_loop_policy()
    assert bench.run_test(nothing, loop_ends=False) == []
    assert bench.run_test(puts_back, loop_ends=False) == []
    assert [each.owner.kind for each in bench.run_test(changes, loop_ends=False)] == ["test"]
    assert event_loop_policy() is policy
    fixture.ended = True
    bench.detection.release(fixture)
    (finding,) = bench.detection.drain()
    assert (finding.rule, finding.owner.name) == ("UNO504", "fast_loops")
    assert not isinstance(event_loop_policy(), Own)


def test_what_a_plugin_sets_around_a_loop_is_nobodys(bench: Any) -> None:
    async def test() -> None:
        code = compile("set_policy(own)", "/site-packages/pytest_asyncio/plugin.py", "exec")
        own = Own()
        await asyncio.to_thread(exec, code, {"set_policy": set_policy_of_plugin, "own": own})

    set_policy_of_plugin = getattr(asyncio.events, POLICY_SETTER)
    assert bench.run_test(test) == []


@pytest.mark.parametrize("module", [asyncio, asyncio.events])
def test_the_function_looks_as_before(bench: Any, module: Any) -> None:
    def shape() -> tuple[Any, ...]:
        function = getattr(asyncio.events, POLICY_SETTER)
        return function.__name__, function.__doc__, inspect.signature(function)

    patched = shape()
    bench.detection.remove()
    assert patched == shape()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert module.set_event_loop_policy is inspect.unwrap(module.set_event_loop_policy)


def test_a_change_below_another_is_undone_with_the_other(bench: Any, policy: object) -> None:
    test, fixture = Owner("test", "test_x"), Owner("fixture", "fast_loops", "module")
    snapshot = bench.detection.snapshot(test)
    bench.run_as(test, changes)
    bench.run_as(fixture, changes)
    above = event_loop_policy()
    test.ended = True
    (finding,) = bench.detection.compare(snapshot, bench.loop, loop_ends=False)
    assert finding.owner.name == "test_x"
    assert event_loop_policy() is above
    fixture.ended = True
    bench.detection.release(fixture)
    assert [each.owner.name for each in bench.detection.drain()] == ["fast_loops"]
    assert is_same_policy(event_loop_policy(), policy)


def test_a_change_by_a_callback_is_told_by_who_runs_the_loop(bench: Any) -> None:
    async def test() -> None:
        asyncio.get_running_loop().call_soon(getattr(asyncio.events, POLICY_SETTER), Own())
        await asyncio.sleep(0)

    (finding,) = bench.run_test(test)
    assert (finding.rule, finding.created[0].function) == ("UNO504", "Bench.run_as")
