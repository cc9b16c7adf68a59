"""Deadlocks: what their message says, and how the run unwinds."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pytest_uno import ClockError, DeadlockError, UnoError
from pytest_uno.clock import Budgets, VirtualEventLoop
from tests.clock.running import run_virtual
from tests.clock.virtual_test import the_clock

Main = Callable[[], Awaitable[object]]

NO_GRACE = Budgets(deadlock_grace=0, deadlock_patience=0)


def message_of(main: Main, **options: Any) -> str:
    """Return the message of the deadlock that `main` ends in."""
    with pytest.raises(DeadlockError) as caught:
        run_virtual(main, **{"budgets": NO_GRACE, **options})
    return str(caught.value)


async def idle() -> None:
    await asyncio.Event().wait()


def place(function: Any, offset: int = 1) -> str:
    """Say where a line of a function is, as the message does."""
    code = function.__code__
    return f"test_deadlock.py:{code.co_firstlineno + offset} in {code.co_qualname}: "


# ------------------------------------------------------------------ the message


def test_what_happened_what_to_do_and_where_it_stands() -> None:
    text = message_of(idle)
    assert text.startswith(
        "deadlock: every task is blocked, and no timer, I/O, thread or process can wake one"
    )
    assert "\n  fix: " in text
    assert text.splitlines()[-1].endswith("reference/messages.html#deadlock")
    assert "[the main task]" in text
    assert "waits for event that is not set" in text
    assert place(idle) + "await asyncio.Event().wait()" in text
    assert "virtual time 0 s, no timer" in text


def test_its_kind() -> None:
    assert issubclass(DeadlockError, ClockError)
    assert issubclass(ClockError, UnoError)
    assert issubclass(ClockError, RuntimeError)


def test_who_holds_the_lock() -> None:
    lock = asyncio.Lock()

    async def hold() -> None:
        async with lock:
            await idle()

    async def main() -> None:
        holding = asyncio.create_task(hold(), name="holder")
        await asyncio.sleep(0)
        await lock.acquire()
        await holding

    text = message_of(main)
    assert "waits for lock held by task 'holder'" in text
    assert place(main, 3) + "await lock.acquire()" in text
    assert place(hold, 2) + "await idle()" in text


def test_which_tasks_of_a_group_are_unfinished() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(5), name="ends")
            group.create_task(idle(), name="one")
            group.create_task(asyncio.Queue[int]().get(), name="two")

    text = message_of(main)
    assert "waits for TaskGroup (unfinished: 'one', 'two')" in text
    assert "task 'two' (Queue.get) waits for queue.get() of an empty queue" in text
    assert "awaited by task" in text
    assert "virtual time 5 s" in text


def test_what_a_gather_waits_for() -> None:
    async def main() -> None:
        one = asyncio.create_task(idle(), name="one")
        await asyncio.gather(asyncio.sleep(1), one)

    text = message_of(main)
    assert "gather of 2 tasks (1 unfinished: 'one')" in text


def test_a_full_and_an_unfinished_queue() -> None:
    async def main() -> None:
        queue = asyncio.Queue[int](2)
        joining = asyncio.create_task(queue.join(), name="joining")
        for number in range(3):
            await queue.put(number)
        await joining

    text = message_of(main)
    assert "queue.put() into a full queue of 2" in text
    assert "queue.join(): 2 task_done() missing, 2 queued" in text


def test_two_locks_in_opposite_order() -> None:
    locks = asyncio.Lock(), asyncio.Lock()

    async def take(first: int, second: int) -> None:
        async with locks[first]:
            await asyncio.sleep(1)
            async with locks[second]:
                pytest.fail("both locks were free")

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(take(0, 1), name="there")
            group.create_task(take(1, 0), name="back")

    text = message_of(main)
    assert "cycle: 'back' -> 'there' -> 'back'" in text
    assert "lock held by task 'there'" in text
    assert "lock held by task 'back'" in text


def test_a_pause_that_nobody_ends() -> None:
    async def main() -> None:
        with the_clock().paused():
            await asyncio.sleep(1)

    text = message_of(main)
    assert "the clock is paused" in text
    assert "advance" in text
    assert place(main, 2) + "await asyncio.sleep(1)" in text


def test_a_pause_in_another_task() -> None:
    async def pause() -> None:
        with the_clock().paused():
            await idle()

    async def main() -> None:
        pausing = asyncio.create_task(pause(), name="pausing")
        await asyncio.sleep(1)
        await pausing

    text = message_of(main)
    assert "the clock is paused" in text
    assert "task 'pausing'" in text


def test_a_sleep_for_ever_is_no_timer_to_wait_for() -> None:
    async def main() -> None:
        await asyncio.sleep(math.inf)

    assert "every task is blocked" in message_of(main)


def test_cancelled_timers_are_no_timers_to_wait_for() -> None:
    async def main() -> None:
        for second in range(10):
            asyncio.get_running_loop().call_later(second, print).cancel()
        await idle()

    with pytest.raises(DeadlockError):
        run_virtual(main, budgets=NO_GRACE)


def test_it_comes_before_a_deadline_of_the_clock() -> None:
    async def main() -> None:
        the_clock().deadline = 60
        await idle()

    assert "virtual time 0 s" in message_of(main)


def test_many_tasks_make_a_message_of_bounded_length() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(1000):
                group.create_task(idle())

    text = message_of(main)
    assert "1001 tasks" in text
    assert " more" in text
    assert len(text.splitlines()) < 500


@pytest.mark.skipif(sys.version_info < (3, 14), reason="asyncio.capture_call_graph is new in 3.14")
def test_the_picture_agrees_with_asyncios_own_call_graph() -> None:
    async def child() -> None:
        await idle()

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(child(), name="child")

    async def main() -> None:
        grouped = asyncio.create_task(group(), name="group")
        await the_clock().settle()
        shown = the_clock().picture()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                graph = asyncio.capture_call_graph(task)  # type: ignore[attr-defined,unused-ignore]
                paragraph = shown.partition(f"\n  task '{task.get_name()}' ")[2].partition("\n  task ")[0]
                places = [f":{entry.frame.f_lineno} in " for entry in graph.call_stack]
                lines = [line for line in paragraph.splitlines() if line.startswith("    at ")]
                assert len(lines) == len(places) > 0
                assert all(place in line for place, line in zip(places, lines, strict=True))
                awaiting = [entry.future.get_name() for entry in graph.awaited_by]
                assert all(f"awaited by task '{name}'" in paragraph for name in awaiting)
        grouped.cancel()

    run_virtual(main)


# ------------------------------------------------------------------ unwinding


def test_the_main_task_is_cancelled_and_everything_unwinds() -> None:
    log: list[str] = []

    async def child(name: str) -> None:
        try:
            await idle()
        finally:
            await asyncio.sleep(5)  # clean-up may take its time
            log.append(name)

    async def main() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(child("one"))
                group.create_task(child("two"))
        except asyncio.CancelledError as cancelled:
            log.append(str(cancelled.args[0]))
            raise
        finally:
            log.append("finally")

    message_of(main)
    assert sorted(log[:2]) == ["one", "two"]
    assert log[2].startswith("deadlock: every task is blocked")
    assert log[3:] == ["finally"]


def test_the_traceback_leads_to_the_line_that_waits() -> None:
    async def main() -> None:
        await idle()

    with pytest.raises(DeadlockError) as caught:
        run_virtual(main, budgets=NO_GRACE)
    functions = [entry.name for entry in caught.traceback]
    assert functions.index("main") < functions.index("idle")
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("swallowed", [asyncio.CancelledError, BaseException])
def test_a_swallowed_cancellation_hides_nothing(swallowed: type[BaseException]) -> None:
    async def main() -> str:
        with contextlib.suppress(swallowed):
            await idle()
        await asyncio.sleep(1)
        return "no error"

    with pytest.raises(DeadlockError):
        run_virtual(main, budgets=NO_GRACE)


def test_another_error_of_the_clean_up_is_the_cause() -> None:
    async def main() -> None:
        try:
            await idle()
        finally:
            raise LookupError("clean-up")

    with pytest.raises(DeadlockError) as caught:
        run_virtual(main, budgets=NO_GRACE)
    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_of_the_clean_up_is_not_hidden(error: type[BaseException]) -> None:
    async def main() -> None:
        try:
            await idle()
        finally:
            raise error

    with pytest.raises(error):
        run_virtual(main, budgets=NO_GRACE)


def test_a_clean_up_that_is_stuck_as_well() -> None:
    log: list[str] = []

    async def main() -> None:
        try:
            await asyncio.Queue[int]().get()
        finally:
            try:
                await idle()
            finally:
                log.append("given up")

    text = message_of(main)
    assert "queue.get() of an empty queue" in text, "the first deadlock is what matters"
    assert log == ["given up"]


def test_a_task_that_cannot_be_ended_does_not_hang_the_run(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        for _ in range(5):
            with contextlib.suppress(asyncio.CancelledError):
                await idle()

    message_of(main)
    gc.collect()  # asyncio logs here that the task is destroyed, and not in a later test
    assert "Task was destroyed but it is pending!" in caplog.text


def test_the_loop_can_be_used_again() -> None:
    async def main() -> float:
        await asyncio.sleep(5)
        return the_clock().time()

    with asyncio.Runner(loop_factory=lambda: VirtualEventLoop(budgets=NO_GRACE)) as runner:
        for _ in range(3):
            with pytest.raises(DeadlockError):
                runner.run(idle())
        assert runner.run(main()) == 5


def test_a_future_as_the_root() -> None:
    loop = VirtualEventLoop(budgets=NO_GRACE)
    with contextlib.closing(loop), pytest.raises(DeadlockError, match="no tasks"):
        loop.run_until_complete(loop.create_future())
