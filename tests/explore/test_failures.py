from __future__ import annotations

import asyncio

import pytest

from pytest_uno.core.errors import ClockTimeoutError
from pytest_uno.explore import explore
from pytest_uno.explore.failures import is_forced_timeout, key_of
from pytest_uno.explore.run import Surroundings, run_schedule
from pytest_uno.explore.settings import Settings
from pytest_uno.explore.strategies.stock import Stock


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def test_key_is_the_type_and_the_users_line() -> None:
    one, other = (raised(LookupError(number)) for number in "12")
    assert key_of(one) == key_of(other)
    assert key_of(one) != key_of(raised(KeyError()))
    assert key_of(one)[0] == "LookupError"
    assert key_of(LookupError()) == ("LookupError",)


def test_a_group_counts_as_what_is_in_it() -> None:
    one, other = raised(LookupError()), raised(ValueError())
    assert key_of(BaseExceptionGroup("", [one])) == key_of(one)
    both = key_of(BaseExceptionGroup("", [one, other]))
    assert both == key_of(BaseExceptionGroup("", [other, one]))
    assert both[0] == "group"


def test_forced_time_outs() -> None:
    assert is_forced_timeout(TimeoutError())
    assert is_forced_timeout(ExceptionGroup("", [TimeoutError(), TimeoutError()]))
    assert not is_forced_timeout(ExceptionGroup("", [TimeoutError(), ValueError()]))
    assert not is_forced_timeout(ClockTimeoutError())


def test_surroundings_that_fail() -> None:
    async def fail() -> None:
        raise LookupError("before")

    async def program() -> None:
        raise AssertionError("never runs")

    outcome = run_schedule(program, Stock(), Settings(), Surroundings(before=fail))
    assert isinstance(outcome.error, LookupError)

    def closing(loop: asyncio.AbstractEventLoop) -> None:
        raise ValueError("closing")

    outcome = run_schedule(asyncio.Event().wait, Stock(), Settings(), Surroundings(closing=closing))
    assert not isinstance(outcome.error, ValueError)
    outcome = run_schedule(lambda: asyncio.sleep(0), Stock(), Settings(), Surroundings(closing=closing))
    assert isinstance(outcome.error, ValueError)


def test_interrupts_pass_through() -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explore(interrupted)


def test_two_holds() -> None:
    """Both customers of a pair must be slow for the third one to see nothing."""

    async def program() -> None:
        done: list[str] = []

        async def work(name: str) -> None:
            await asyncio.to_thread(int)
            done.append(name)

        async def look() -> None:
            for _ in range(3):
                await asyncio.to_thread(int)
            assert done, "nobody was there"

        await asyncio.gather(work("a"), work("b"), look())

    report = explore(program, schedules=200)
    assert report.failure is not None
    assert len(report.holds) == 2
    assert report.delay_class == "io"
    assert "What it takes: 2 delays" in report.explanation


def test_a_scenario_that_remembers() -> None:
    runs = 0

    async def program() -> None:
        nonlocal runs
        runs += 1
        assert runs != 1

    report = explore(program)
    assert report.found_at == 1
    assert report.is_deterministic is False
    assert "what the scenario keeps from one run to the next" in report.explanation
