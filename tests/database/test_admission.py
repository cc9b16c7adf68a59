"""Who gets the one connection, where threads and the garbage collector come by, and what the errors say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pytest_uno.core.errors import SandboxConflict
from pytest_uno.database.sandbox.admission import Admission
from pytest_uno.database.sandbox.checkout import Checkout
from pytest_uno.database.sandbox.conflicts import timeout_error
from pytest_uno.database.sandbox.real_alarm import RealAlarm
from pytest_uno.database.user_frames import UserFrames


def _checkout(number: int) -> Checkout:
    return Checkout(number, [], is_autocommit=False)


def _elsewhere(call: Callable[[], object]) -> None:
    """Call where no loop runs, while this one stands still."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def test_a_turn_that_another_thread_gives_comes_to_the_loop() -> None:
    async def main() -> None:
        admission = Admission("error", 60, UserFrames())
        holder, other = _checkout(1), _checkout(2)
        assert admission.try_enter(holder, None)
        waiting = asyncio.create_task(admission.wait_turn(other, None))
        await asyncio.sleep(0)
        admission.pass_on()
        assert admission.wire is holder
        _elsewhere(admission.leave)
        assert admission.wire is other
        admission.refuse_all(ZeroDivisionError())  # it is served: too late for that
        await waiting

    asyncio.run(main())


def test_a_turn_that_another_thread_gives_to_a_task_being_cancelled_is_given_back() -> None:
    async def main() -> None:
        admission = Admission("error", 60, UserFrames())
        assert admission.try_enter(_checkout(1), None)
        waiting = asyncio.create_task(admission.wait_turn(_checkout(2), None))
        await asyncio.sleep(0)
        _elsewhere(admission.leave)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert admission.wire is None

    asyncio.run(main())


def test_a_refused_waiter_fails() -> None:
    async def main() -> None:
        admission = Admission("error", 60, UserFrames())
        assert admission.try_enter(_checkout(1), None)
        waiting = asyncio.create_task(admission.wait_turn(_checkout(2), None))
        await asyncio.sleep(0)
        admission.refuse_all(ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            await waiting

    asyncio.run(main())


def test_all_that_wait_share_one_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    alarms: list[RealAlarm] = []

    class Noted(RealAlarm):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            alarms.append(self)

    monkeypatch.setattr("pytest_uno.database.sandbox.queue_watch.RealAlarm", Noted)

    async def main() -> None:
        admission = Admission("error", 60, UserFrames())
        for _ in range(2):
            assert admission.try_enter(_checkout(1), None)
            waiting = [asyncio.create_task(admission.wait_turn(_checkout(2), None)) for _ in range(9)]
            await asyncio.sleep(0)
            admission.refuse_all(ZeroDivisionError())
            await asyncio.gather(*waiting, return_exceptions=True)
            admission.leave()

    asyncio.run(main())
    assert len(alarms) == 2  # one after the other


def test_a_wait_that_is_over_says_what_is_known() -> None:
    error = timeout_error(_checkout(2), None, None, 0.5, UserFrames())
    assert isinstance(error, SandboxConflict)
    assert "task outside of any task waited 0.5 s" in str(error)
    assert "holder: nobody" in str(error)
    assert "last SQL" not in str(error)
    holder = _checkout(1)
    holder.writes = 2
    holder.last_sql = "PRAGMA x"
    text = str(timeout_error(_checkout(2), holder, None, 0.5, UserFrames()))
    assert "connection #1 opened at an unknown place, 2 uncommitted writes,\n    last SQL: PRAGMA x" in text
    holder.tables["orders"] = None
    assert "2 uncommitted writes to orders" in str(timeout_error(_checkout(2), holder, None, 1, UserFrames()))


def test_an_alarm_rings_until_it_is_stopped() -> None:
    rung: list[float] = []

    async def main() -> RealAlarm:
        alarm = RealAlarm(asyncio.get_running_loop(), rung.append)
        alarm.ring()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert rung
        count = len(rung)
        alarm.ring()
        alarm.stop()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(rung) == count
        return alarm

    asyncio.run(main()).ring()  # its loop is closed
