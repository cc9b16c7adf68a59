from __future__ import annotations

import asyncio
import re

import pytest

from pytest_uno.explore import explanation, explore, replay
from pytest_uno.explore.explanation import collapse


class Account:
    """A balance behind a slow reply."""

    def __init__(self) -> None:
        self.balance = 100

    async def read(self) -> int:
        return await asyncio.to_thread(lambda: self.balance)


async def deposit(account: Account, looks: int, amount: int) -> None:
    for _ in range(looks):
        await account.read()
    before = await account.read()
    account.balance = before + amount


async def two_deposits() -> None:
    account = Account()
    async with asyncio.TaskGroup() as group:
        group.create_task(deposit(account, 0, 1))
        group.create_task(deposit(account, 3, 2))
    assert account.balance == 103, account.balance


def test_report_of_one_hold() -> None:
    report = explore(two_deposits, name="tests/test_bank.py::test_deposit")
    lines = report.explanation.splitlines()
    assert lines[0] == "uno: AssertionError: 101, in a legal schedule (2nd; stock order passes)"
    assert re.fullmatch(r"What it takes: 1 delay +class io: stock asyncio can do this", lines[1])
    assert re.fullmatch(
        r"  deposit#1 was slow at test_explanation.py:\d+   "
        r"return await asyncio.to_thread\(lambda: self.balance\)   \(thread\)",
        lines[2],
    )
    assert lines[3].startswith("Who ran when")
    (held,) = [line for line in lines if line.startswith(">")]
    assert re.fullmatch(r">     0.0ms deposit#1     :\d+ HELD until deposit#2 could not go on", held)
    text = report.explanation
    assert re.search(r"deposit#2     :\d+ -> returned   x4", text)
    assert re.search(
        r"Searched: stock order, 1-hold schedules 1 of 3, others 0. Deterministic: 3 of 3 replays equal.",
        text,
    )
    assert lines[-1] == "Replay: pytest 'tests/test_bank.py::test_deposit' --uno-replay=io:0"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (13, "13th"),
        (102, "102nd"),
        (112, "112th"),
    ],
)
def test_the_schedule_is_counted_as_people_do(number: int, words: str) -> None:
    assert explanation._ordinal(number) == words


def test_report_of_a_replay() -> None:
    report = replay(two_deposits, "io:0")
    assert report.explanation.startswith("uno: AssertionError: 101, in the replayed schedule\n")
    assert "Searched" not in report.explanation
    assert "Deterministic: 3 of 3 replays equal." in report.explanation
    assert "--uno-replay=io:0" in report.explanation


def test_report_of_a_time_out_that_fired() -> None:
    async def pays_twice() -> None:
        paid = 0

        async def pay() -> None:
            nonlocal paid
            await asyncio.sleep(0.002)
            paid += 1
            await asyncio.sleep(0.002)

        for _ in range(2):
            try:
                async with asyncio.timeout(0.05):
                    await pay()
                break
            except TimeoutError:
                continue
        assert paid == 1

    report = explore(pays_twice, timeouts=True)
    assert "a time-out may fire before what it waits for comes" in report.explanation
    assert "  a time-out fired first" in report.explanation
    assert re.search(r"> .* a time-out +FIRED", report.explanation)
    assert report.token is not None
    assert report.token.startswith("sleep!:")


def test_a_failure_that_needs_many_delays_is_replayed_by_its_seed() -> None:
    async def reversed_order() -> None:
        order: list[int] = []

        async def nap(number: int) -> None:
            await asyncio.sleep(0.01)
            order.append(number)

        await asyncio.gather(*(nap(number) for number in range(4)))
        assert order != [3, 2, 1, 0]

    report = explore(reversed_order, schedules=2000)
    assert report.token is not None
    if not report.holds:
        assert "no schedule with one or two holds gives this failure" in report.explanation
        assert re.fullmatch(r"sleep:.*|yield:(pos|pct3)\..*", report.token)
    again = replay(reversed_order, report.token)
    assert isinstance(again.failure, AssertionError)


def test_collapse() -> None:
    rows = [("1 ", "a"), ("2 ", "b"), ("3 ", "a"), ("4 ", "b"), ("5 ", "c"), ("6 ", "c"), ("7 ", "d")]
    assert collapse(rows) == ["1 a", "2 b   (these 2 lines x2)", "5 c   x2", "7 d"]
    assert collapse([]) == []


def test_history_of_wake_ups() -> None:
    async def pulse() -> None:
        news = asyncio.Event()

        async def listen() -> None:
            await asyncio.to_thread(int)
            await news.wait()

        async def announce() -> None:
            await asyncio.to_thread(int)
            await asyncio.to_thread(int)
            news.set()
            await asyncio.to_thread(int)
            news.clear()

        await asyncio.gather(listen(), announce())

    report = explore(pulse)
    assert re.search(
        r"Who was woken before\n"
        r"  Event.set\(\) at test_explanation.py:\d+ woke 0\n"
        r"  Event.clear\(\) at test_explanation.py:\d+\n",
        report.explanation,
    )
    assert asyncio.Event.set.__module__ == "asyncio.locks"


def test_history_of_notifications() -> None:
    async def too_early() -> None:
        condition = asyncio.Condition()

        async def wait() -> None:
            await asyncio.sleep(0.001)
            async with condition:
                await condition.wait()

        async def notify() -> None:
            await asyncio.sleep(0.005)
            async with condition:
                condition.notify_all()

        await asyncio.gather(wait(), notify())

    report = explore(too_early)
    assert re.search(r"  Condition.notify\(\) at test_explanation.py:\d+ woke 0\n", report.explanation)
