from __future__ import annotations

import asyncio
import contextvars
import random
from typing import Any

import pytest

from pytest_uno.core.errors import DeadlockError, ExplorationError, StepLimitError
from pytest_uno.explore import explore, replay
from pytest_uno.explore.report import Progress
from pytest_uno.explore.run import Surroundings, run_schedule
from pytest_uno.explore.settings import Settings
from pytest_uno.explore.strategies.stock import Stock


class Shop:
    """One item, and customers who look before they buy."""

    def __init__(self) -> None:
        self.stock = 1

    async def buy(self, arrival: float) -> None:
        await asyncio.sleep(arrival)
        if self.stock > 0:
            await asyncio.sleep(0.001)
            self.stock -= 1


async def oversell() -> None:
    shop = Shop()
    await asyncio.gather(shop.buy(0.001), shop.buy(0.005))
    assert shop.stock == 0, shop.stock


async def nothing_to_choose() -> None:
    await asyncio.sleep(1)
    await asyncio.sleep(0)


async def two_naps() -> None:
    await asyncio.gather(asyncio.sleep(1), asyncio.sleep(2))


def test_report_of_a_bug() -> None:
    report = explore(oversell)
    assert isinstance(report.failure, AssertionError)
    assert (report.found_at, report.runs) == (3, 3)
    assert report.token == "sleep:1"
    assert report.holds == (1,)
    assert not report.exhausted
    with pytest.raises(AssertionError) as caught:
        report.raise_failure()
    assert caught.value.__notes__[-1] == report.explanation


def test_replay_is_one_run() -> None:
    runs = 0

    async def counted() -> None:
        nonlocal runs
        runs += 1
        await oversell()

    report = replay(counted, "sleep:1")
    assert isinstance(report.failure, AssertionError)
    assert report.runs == 1
    runs = 0
    passed = replay(counted, "sleep:0")
    assert (passed.failure, passed.found_at, passed.token, runs) == (None, None, None, 1)
    passed.raise_failure()


def test_without_decisions_one_run_is_all() -> None:
    report = explore(nothing_to_choose)
    assert report.exhausted
    assert report.runs == 1
    assert report.single_holds == 0


def test_every_single_hold_is_tried() -> None:
    report = explore(two_naps)
    assert (report.exhausted, report.holds_done, report.single_holds) == (True, 1, 1)
    assert 2 <= report.runs < 20


def test_stock_order_only() -> None:
    report = explore(oversell, schedules=0)
    assert (report.failure, report.runs) == (None, 1)


def test_failure_in_stock_order() -> None:
    async def broken() -> None:
        await asyncio.sleep(1)
        raise LookupError("always")

    report = explore(broken)
    assert (report.found_at, report.token, report.holds) == (1, "stock", ())
    assert "in stock order: it needs no special schedule" in report.explanation


def test_seed_decides_the_random_schedules() -> None:
    def orders(seed: int) -> list[tuple[int, ...]]:
        seen: list[tuple[int, ...]] = []

        async def program() -> None:
            order: list[int] = []

            async def nap(number: int) -> None:
                await asyncio.sleep(0.01)
                order.append(number)

            await asyncio.gather(*(nap(number) for number in range(5)))
            seen.append(tuple(order))

        explore(program, schedules=30, seed=seed)
        return seen

    assert orders(1) == orders(1)
    assert orders(1) != orders(2)


def test_time_budget() -> None:
    assert explore(lambda: asyncio.sleep(0.1, None), explore_time=0).runs == 1
    report = explore(_many_orders, schedules=10_000, explore_time=0.05)
    assert 1 <= report.runs < 10_000


async def _many_orders() -> None:
    await asyncio.gather(*(asyncio.sleep(0.001 * number) for number in range(8)))


def test_progress() -> None:
    seen: list[Progress] = []
    explore(_many_orders, schedules=20, progress=seen.append)
    assert [one.runs for one in seen] == list(range(1, 21))
    assert {one.schedules for one in seen} == {20}
    assert seen[-1].holds_done == seen[-1].single_holds == 7


def test_inside_a_running_loop() -> None:
    async def main() -> None:
        explore(oversell)

    with pytest.raises(ExplorationError, match="uno_explore"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delay": ("io", "nap")}, "delay='nap'"),
        ({"jitter": 0.5}, "jitter=0.5"),
        ({"jitter": float("inf")}, "jitter=inf"),
    ],
)
def test_wrong_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explore(oversell, **options)


def test_scenario_must_return_a_coroutine() -> None:
    scenario: Any = lambda: 42  # noqa: E731
    with pytest.raises(TypeError, match="returned int, and no coroutine"):
        explore(scenario)


def test_deadlock_is_pictured() -> None:
    async def cross() -> None:
        one, other = asyncio.Lock(), asyncio.Lock()

        async def take(first: asyncio.Lock, second: asyncio.Lock, arrival: float) -> None:
            await asyncio.sleep(arrival)
            async with first:
                await asyncio.sleep(0.001)
                async with second:
                    pass

        await asyncio.gather(take(one, other, 0.001), take(other, one, 0.01))

    report = explore(cross)
    assert isinstance(report.failure, DeadlockError)
    assert "who waits for whom" in str(report.failure)


def test_endless_schedule() -> None:
    async def endless() -> None:
        late = True

        async def quick() -> None:
            nonlocal late
            await asyncio.sleep(0.001)
            late = False

        async def look() -> None:
            await asyncio.sleep(0.002)
            loop = asyncio.get_running_loop()
            while late:
                turn = loop.create_future()
                loop.call_soon(turn.set_result, None)
                await turn

        await asyncio.gather(quick(), look())

    report = explore(endless, schedules=20)
    assert report.failure is None, report.explanation  # nothing is passed over for ever

    async def ping_pong() -> None:
        ends: list[float] = []

        async def nap(seconds: float) -> None:
            await asyncio.sleep(seconds)
            ends.append(seconds)

        await asyncio.gather(nap(0.001), nap(0.002))
        loop = asyncio.get_running_loop()
        while ends != [0.001, 0.002]:
            turn = loop.create_future()
            loop.call_soon(turn.set_result, None)
            await turn

    assert isinstance(explore(ping_pong).failure, StepLimitError)


def test_a_program_without_an_end_is_shown_in_stock_order_too() -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    outcome = run_schedule(spin, Stock(), Settings(round_limit=1000))
    assert isinstance(outcome.error, StepLimitError)
    message = str(outcome.error)
    assert message.startswith("no end after 1,000 rounds of the loop\n\nthe tasks, and who waits for whom:\n")
    assert ".spin: await asyncio.sleep(0)\n" in message


def test_forced_time_out_is_no_bug() -> None:
    async def reports_it() -> None:
        async with asyncio.timeout(0.1):
            await asyncio.sleep(0.05)

    report = explore(reports_it, timeouts=True)
    assert report.failure is None

    async def mishandles_it() -> None:
        done = False
        try:
            async with asyncio.timeout(0.1):
                await asyncio.sleep(0.05)
                done = True
        except TimeoutError:
            pass
        assert done

    report = explore(mishandles_it, timeouts=True)
    assert isinstance(report.failure, AssertionError)
    assert report.token == "io!:0" or report.token == "sleep!:0"
    assert explore(mishandles_it).failure is None


def test_leftovers_stay_in_their_schedule() -> None:
    alive: set[asyncio.Task[None]] = set()

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            raise

    async def program() -> None:
        assert all(task.done() for task in alive)
        alive.add(asyncio.create_task(linger()))
        asyncio.get_running_loop().call_soon(_fail)
        await _many_orders()

    report = explore(program, schedules=10)
    assert report.failure is None, report.explanation
    assert len(alive) == 10
    assert all(task.done() for task in alive)


def _fail() -> None:
    raise LookupError("for the loop's handler")


variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")


def test_surroundings() -> None:
    calls: list[str] = []

    async def before() -> None:
        await asyncio.sleep(1)
        calls.append("before")
        variable.set(len(calls))

    async def after(error: BaseException | None) -> None:
        await asyncio.sleep(1)
        calls.append(f"after {error}")

    async def program() -> None:
        assert variable.get() == len(calls)
        await two_naps()

    report = explore(
        program,
        surroundings=Surroundings(
            opened=lambda loop: calls.append("opened"),
            before=before,
            after=after,
            closing=lambda loop: calls.append("closing"),
        ),
    )
    assert report.failure is None
    assert report.single_holds == 1
    assert calls == ["opened", "before", "after None", "closing"] * report.runs
    assert variable.get(None) is None


def test_after_may_fail_a_schedule() -> None:
    async def after(error: BaseException | None) -> None:
        raise LookupError("left behind")

    report = explore(two_naps, surroundings=Surroundings(after=after))
    assert isinstance(report.failure, LookupError)
    assert report.found_at == 1


def test_what_passes_through() -> None:
    class Skipped(BaseException):
        pass

    async def program() -> None:
        raise Skipped

    with pytest.raises(Skipped):
        explore(program, surroundings=Surroundings(passes_through=lambda error: isinstance(error, Skipped)))


def test_not_deterministic() -> None:
    async def chance() -> None:
        naps = [0.001 * random.SystemRandom().randint(1, 400) for _ in range(3)]
        for nap in naps:
            await asyncio.sleep(nap)
        await oversell()

    report = explore(chance)
    assert report.failure is not None
    assert report.is_deterministic is False
    assert "NOT DETERMINISTIC" in report.explanation
    assert "likely cause: random" in report.explanation
    assert "the first step that differs" in report.explanation
