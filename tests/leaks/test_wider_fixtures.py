"""Whose a leak is: tests, fixtures that are wider, and the loops they share."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from pytest_uno.leaks.owners import OWNER, Owner
from tests.leaks.examples import nothing


async def forever() -> None:
    await asyncio.sleep(3600)  # the loop's timer holds the task: no collection may take it


async def boom() -> None:
    raise RuntimeError("boom")


def hub() -> Owner:
    return Owner("fixture", "hub", "session", "tests/conftest.py", 12)


class Hub:
    def __init__(self) -> None:
        self.kept: list[Any] = []


def test_a_wider_fixture_may_have_a_background_task(bench: Any) -> None:
    fixture = hub()

    async def set_up() -> None:
        asyncio.create_task(forever())
        await asyncio.sleep(0)

    bench.run_as(fixture, set_up)
    assert bench.run_test(nothing, loop_ends=False) == []
    assert bench.run_test(nothing, loop_ends=True) == []
    (task,) = asyncio.all_tasks(bench.loop)
    assert bench.detection.owner_of(task) is fixture
    assert not task.cancelling()
    fixture.ended = True
    (finding,) = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    assert finding.rule == "UNO101"
    assert finding.owner.describe() == "fixture 'hub' (session, tests/conftest.py:12)"
    assert task.cancelled()


def test_a_task_of_a_task_of_a_wider_fixture_is_the_fixtures(bench: Any) -> None:
    fixture = hub()
    wake = asyncio.Event()

    async def server() -> None:
        await wake.wait()
        asyncio.create_task(forever())
        await forever()

    async def set_up() -> None:
        asyncio.create_task(server())
        await asyncio.sleep(0)

    async def test() -> None:
        wake.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 3

    bench.run_as(fixture, set_up)
    assert bench.run_test(test, loop_ends=False) == []


def test_a_context_may_name_the_owner(bench: Any) -> None:
    fixture = hub()

    async def test() -> None:
        import contextvars

        context = contextvars.copy_context()
        context.run(OWNER.set, fixture)
        asyncio.create_task(forever(), context=context)
        await asyncio.sleep(0)

    assert bench.run_test(test, loop_ends=False) == []


@pytest.mark.parametrize("kept_by", ["task", "failed task", "coroutine", "exception of a future"])
def test_what_a_wider_fixture_holds_is_the_fixtures(bench: Any, kept_by: str) -> None:
    fixture, value = hub(), Hub()
    bench.detection.retain(fixture, value)

    async def test() -> None:
        loop = asyncio.get_running_loop()
        match kept_by:
            case "task":
                value.kept.append(asyncio.create_task(forever()))
            case "failed task":
                value.kept.append(asyncio.create_task(boom()))
            case "coroutine":
                value.kept.append(nothing())
            case _:
                value.kept.append(loop.create_future())
                value.kept[0].set_exception(RuntimeError("lost"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert bench.run_test(test, loop_ends=False) == []
    assert bench.run_test(nothing, loop_ends=False) == []
    bench.detection.release(fixture)
    fixture.ended = True
    findings = bench.detection.judge_loop(bench.loop, default_owner=Owner("session", ""))
    if kept_by in ("task", "failed task"):
        assert [finding.owner.name for finding in findings] == ["hub"]
    else:
        value.kept[0].close() if kept_by == "coroutine" else value.kept[0].exception()
        assert findings == []


def test_what_an_ended_fixture_holds_excuses_nothing(bench: Any) -> None:
    fixture, value = hub(), Hub()
    bench.detection.retain(fixture, value)

    async def test() -> None:
        value.kept.append(asyncio.create_task(forever()))
        await asyncio.sleep(0)

    fixture.ended = True
    assert [finding.rule for finding in bench.run_test(test)] == ["UNO101"]


def test_what_a_wide_factory_hands_out_is_the_tests(bench: Any) -> None:
    bench.detection.retain(hub(), Hub())

    async def test() -> None:
        asyncio.create_task(forever())
        await asyncio.sleep(0)

    assert [finding.owner.name for finding in bench.run_test(test)] == ["test"]


def test_a_coroutine_that_was_there_before_is_not_the_tests(bench: Any) -> None:
    old = nothing()
    bench.detection.retain(hub(), object())  # a wider fixture was set up meanwhile
    assert bench.run_test(nothing, loop_ends=False) == []
    older = old
    bench.detection.remove()
    bench.detection.install()
    bench.detection.watch_loop(bench.loop)

    async def collects() -> None:
        gc.collect()

    assert bench.run_test(collects, loop_ends=False) == []
    older.close()


def test_a_coroutine_kept_for_a_task_that_goes_on_is_the_tasks(bench: Any) -> None:
    async def worker(jobs: list[Any]) -> None:
        await forever()

    jobs: list[Any] = []
    tasks: list[Any] = []

    async def set_up() -> None:
        tasks.append(asyncio.create_task(worker(jobs)))
        await asyncio.sleep(0)

    async def test() -> None:
        jobs.append(nothing())

    bench.run_as(hub(), set_up)
    assert bench.run_test(test, loop_ends=False) == []
    jobs.pop().close()


def test_a_task_of_the_harness_is_exempt(bench: Any) -> None:
    async def test() -> None:
        bench.detection.exempt_task(asyncio.create_task(forever()))
        await asyncio.sleep(0)

    assert bench.run_test(test) == []
    (task,) = asyncio.all_tasks(bench.loop)
    bench.detection.handle_loop_error(
        bench.loop, {"message": "Task was destroyed but it is pending!", "task": task}
    )
    assert bench.detection.drain() == []
    task.cancel()
    bench.loop.run_until_complete(asyncio.wait([task]))


def test_a_task_of_nobody_is_judged_where_its_loop_ends(bench: Any) -> None:
    bench.run_as(None, _spawn)
    assert bench.run_test(nothing, loop_ends=False) == []
    (finding,) = bench.run_test(nothing, loop_ends=True)
    assert finding.owner.name == "nothing"


async def _spawn() -> None:
    asyncio.create_task(forever())
    await asyncio.sleep(0)


def test_who_awaits_it_is_told(bench: Any) -> None:
    async def outer() -> None:
        await asyncio.create_task(forever(), name="inner")

    async def test() -> None:
        asyncio.create_task(outer(), name="outer")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    findings = {finding.target.rpartition(".")[2]: finding for finding in bench.run_test(test)}
    assert findings["forever"].subject == "task 'inner' running forever()"
    assert findings["forever"].awaited_by is not None
    assert findings["forever"].awaited_by.startswith("task 'outer' running ")
    assert findings["outer"].awaited_by is None


def test_a_task_that_ignores_its_cancellation_is_left_and_said_so(bench: Any) -> None:
    stop = False

    async def stubborn() -> None:
        while not stop:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                continue

    async def test() -> None:
        asyncio.create_task(stubborn())
        await asyncio.sleep(0)

    (finding,) = bench.run_test(test)
    assert "ignored its cancellation" in finding.details
    assert bench.run_test(nothing) == []
    stop = True
    for task in asyncio.all_tasks(bench.loop):
        task.cancel()
        bench.loop.run_until_complete(asyncio.wait([task]))


def test_a_destroyed_pending_task_is_a_pending_task(bench: Any) -> None:
    async def test() -> None:
        async def lonely() -> None:
            await asyncio.get_running_loop().create_future()

        asyncio.create_task(lonely())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()

    (finding,) = bench.run_test(test)
    assert finding.rule == "UNO101"
    assert finding.subject.endswith("was destroyed while it was pending")


def test_what_comes_up_in_a_wide_teardown_is_drained(bench: Any) -> None:
    async def tear_down() -> None:
        nothing()  # type: ignore[unused-coroutine]

    bench.run_as(hub(), tear_down)
    assert bench.run_test(nothing, loop_ends=False) == []
    (finding,) = bench.detection.drain()
    assert (finding.rule, finding.owner.name) == ("UNO201", "hub")
    assert bench.detection.drain() == []


def test_an_error_of_nobody_goes_to_the_test_that_is_judged_next(bench: Any) -> None:
    bench.detection.handle_loop_error(bench.loop, {"message": "lost", "exception": RuntimeError("x")})
    (finding,) = bench.run_test(nothing)
    assert (finding.rule, finding.subject, finding.owner.name) == (
        "UNO104",
        "RuntimeError: lost",
        "nothing",
    )
    assert finding.created[0].function == "nothing"
    assert finding.created[0].file == "<unknown>"


def test_an_error_of_a_task_is_its_owners(bench: Any) -> None:
    fixture = hub()
    tasks: list[asyncio.Task[None]] = []

    async def set_up() -> None:
        tasks.append(asyncio.create_task(nothing()))
        await asyncio.sleep(0)

    bench.run_as(fixture, set_up)
    context = {"message": "m", "exception": RuntimeError(), "task": tasks[0]}
    assert bench.detection.handle_loop_error(bench.loop, context)
    (finding,) = bench.detection.drain()
    assert finding.owner.name == "hub"
    assert (finding.created[0].file, finding.created[0].line) == ("tests/conftest.py", 12)


def test_a_callback_that_fails_in_a_library_is_named_by_its_definition(bench: Any) -> None:
    async def test() -> None:
        asyncio.get_running_loop().call_soon(int, "x")
        asyncio.get_running_loop().call_soon(_Callback(), "y")  # type: ignore[arg-type]
        asyncio.get_running_loop().call_soon(_callback, "too", "many")  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    findings = bench.run_test(test)
    assert sorted(finding.subject for finding in findings) == [
        "TypeError in callback _Callback()",
        "TypeError in callback _callback()",
        "ValueError in callback int()",
    ]
    (finding,) = (finding for finding in findings if finding.target == "_callback")
    assert finding.created[0].code == "def _callback(value: int) -> None: ..."


def _callback(value: int) -> None: ...


class _Callback:
    def __call__(self, value: int) -> int:
        return value + 1


def test_a_message_without_an_exception_is_not_ours(bench: Any) -> None:
    assert not bench.detection.handle_loop_error(bench.loop, {"message": "just so you know"})
    interrupt = {"message": "m", "exception": KeyboardInterrupt()}
    assert not bench.detection.handle_loop_error(bench.loop, interrupt)
    assert bench.detection.drain() == []


def test_a_loop_that_cannot_be_run_is_judged_as_it_stands(bench: Any) -> None:
    async def test() -> None:
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        owner = OWNER.get()
        assert owner is not None
        owner.ended = True
        found.extend(bench.detection.judge_loop(bench.loop, default_owner=owner))
        assert not task.cancelling()
        task.cancel()

    found: list[Any] = []
    fixture = hub()
    bench.run_as(fixture, test)
    assert "forever" in {finding.target for finding in found}
