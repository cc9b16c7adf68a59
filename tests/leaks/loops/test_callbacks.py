"""What callbacks work on, and what explains that they wait."""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from pytest_uno.leaks.loops.callbacks import name_of_callback
from tests.leaks.examples import Test

KEPT: list[Any] = []


def late() -> None: ...


def _set(ref: weakref.ref[asyncio.Event]) -> None:
    event = ref()
    if event is not None:
        event.set()


def _ignore(*args: object) -> None: ...


class Session:
    def __init__(self) -> None:
        self.handle = asyncio.get_running_loop().call_later(60, self.expire)

    def expire(self) -> None: ...


async def waits_for_an_answer() -> None:
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    loop.call_later(60, answer.set_result, None)
    await answer


async def waits_with_a_handle() -> None:
    handle = asyncio.get_running_loop().call_later(60, late)
    try:
        await asyncio.Event().wait()
    finally:
        handle.cancel()


async def waits_for_a_closure() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(60, lambda: event.set())
    await event.wait()


async def waits_for_an_object() -> None:
    class Poller:
        def __init__(self) -> None:
            self.event = asyncio.Event()

        def wake(self) -> None:
            self.event.set()

        async def run(self) -> None:
            asyncio.get_running_loop().call_later(60, functools.partial(self.wake))
            await self.event.wait()

    await Poller().run()


async def waits_weakly() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(60, _set, weakref.ref(event))
    await event.wait()


@pytest.mark.parametrize(
    "function",
    [waits_for_an_answer, waits_with_a_handle, waits_for_a_closure, waits_for_an_object, waits_weakly],
)
def test_the_timer_of_a_pending_task_is_a_part_of_it(bench: Any, function: Test) -> None:
    async def test() -> None:
        KEPT.append(asyncio.create_task(function()))
        await asyncio.sleep(0)

    assert [finding.rule for finding in bench.run_test(test, loop_ends=False)] == ["UNO101"]
    KEPT.clear()


def test_a_timer_beside_a_pending_task_is_a_leak_of_its_own(bench: Any) -> None:
    async def test() -> None:
        KEPT.append(asyncio.create_task(asyncio.Event().wait()))
        asyncio.get_running_loop().call_later(60, late)

    assert [finding.rule for finding in bench.run_test(test)] == ["UNO101", "UNO203"]
    KEPT.clear()


def test_a_timer_of_what_is_explained_is_a_part_of_it(bench: Any) -> None:
    session: list[Session] = []

    async def test() -> None:
        session.append(Session())

    class Explains:
        def compare(self, judgement: Any) -> list[Any]:
            judgement.explained.add(id(session[0]))
            return []

        def __getattr__(self, name: str) -> Any:
            return _ignore

    detectors = bench.detection._detectors
    bench.detection._detectors = (detectors[0], Explains(), *detectors[1:])
    assert bench.run_test(test) == []


class Called:
    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("callback", "name"),
    [
        (late, "late"),
        (print, "print"),
        (functools.partial(functools.partial(late)), "late"),
        (Called(), "Called"),
        (Called().__call__, "Called.__call__"),
    ],
)
def test_a_callback_has_the_same_name_in_each_run(callback: Callable[[], object], name: str) -> None:
    loop = asyncio.new_event_loop()
    assert name_of_callback(loop.call_soon(callback)) == name
    loop.close()


def test_a_callback_with_a_variable_that_is_deleted_is_looked_at(bench: Any) -> None:
    async def test() -> None:
        variable: Callable[[], None] = late

        def tick() -> None:
            variable()  # noqa: F821 - it is gone by then

        asyncio.get_running_loop().call_later(60, tick)
        del variable

    (finding,) = bench.run_test(test)
    assert finding.rule == "UNO203"
