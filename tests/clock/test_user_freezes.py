"""freezegun's own `freeze_time` and a clock in lockstep, in every order of beginning and ending."""

from __future__ import annotations

import asyncio
import datetime as datetime_module
import sys
import threading
import time
import types
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from freezegun import api, freeze_time

from tests.clock.lockstep import HandWall

START = datetime(2026, 1, 1)
USERS = datetime(2000, 5, 5)


@pytest.fixture(autouse=True)
def everything_real_afterwards() -> Iterator[None]:
    asyncio_time = asyncio.SelectorEventLoop.time
    yield
    assert [api.freeze_factories, api.ignore_lists, api.tick_flags] == [[], [], []]
    assert len(api.tz_offsets) <= 1
    assert datetime_module.datetime is datetime is api.real_datetime
    assert time.time is api.real_time
    assert asyncio.SelectorEventLoop.time is asyncio_time


class TestInsideOfARun:
    def test_the_users_date_wins_and_lockstep_comes_back(self) -> None:
        wall = HandWall()
        with wall.running():
            wall.jump(5)
            with freeze_time(USERS) as frozen:
                wall.jump(5)
                assert datetime.now() == USERS
                assert wall.now() == USERS.replace(tzinfo=UTC)
                frozen.tick()
                assert datetime.now() == USERS + timedelta(seconds=1)
                frozen.move_to("2001-01-01")
                assert datetime.now() == datetime(2001, 1, 1)
                assert time.monotonic() == datetime(2001, 1, 1, tzinfo=UTC).timestamp()
                assert isinstance(time.monotonic_ns(), int)
            assert datetime.now() == START + timedelta(seconds=10)
            assert time.monotonic() == 10

    def test_as_decorator_of_a_coroutine_function(self) -> None:
        async def frozen(factory: Any) -> datetime:
            await asyncio.sleep(0)
            factory.tick(60)
            return datetime.now()

        decorated: Any = freeze_time(USERS, as_arg=True)(frozen)
        with HandWall().running():
            assert asyncio.run(decorated()) == USERS + timedelta(minutes=1)
            assert datetime.now() == START

    def test_ticking_by_itself(self) -> None:
        with HandWall().running():
            with freeze_time(USERS, tick=True):
                first = datetime.now()
                assert USERS <= first <= datetime.now() < USERS + timedelta(minutes=1)
            with freeze_time(USERS, auto_tick_seconds=15):
                assert datetime.now() == USERS
                assert datetime.now() == USERS + timedelta(seconds=15)

    def test_nested(self) -> None:
        with HandWall().running():
            with freeze_time(USERS):
                with freeze_time("1999-01-01", tz_offset=-2):
                    assert datetime.now() == datetime(1998, 12, 31, 22)
                assert datetime.now() == USERS
            assert datetime.now() == START

    def test_another_loop_keeps_real_time(self) -> None:
        async def slept() -> bool:
            await asyncio.sleep(0.001)
            return datetime.now() == USERS

        def run(results: list[bool]) -> None:
            results.append(asyncio.run(slept()))

        results: list[bool] = []
        with HandWall().running(), freeze_time(USERS, real_asyncio=True):
            thread = threading.Thread(target=run, args=[results])
            thread.start()
            thread.join()
        assert results == [True]

    def test_switching_on_under_a_freeze_takes_effect_after_it(self) -> None:
        wall = HandWall(None)
        with wall.running():
            with freeze_time(USERS):
                wall.travel_to(START)
                assert datetime.now() == USERS
            assert datetime.now() == START

    def test_now_under_a_freeze_begins_at_the_real_time(self) -> None:
        wall = HandWall(None)
        with wall.running():
            with freeze_time(USERS):
                assert wall.now() == USERS.replace(tzinfo=UTC)
            assert datetime.now() > START - timedelta(days=1)

    def test_one_stop_too_many_is_refused(self) -> None:
        with HandWall().running():
            freeze = freeze_time(USERS)
            freeze.start()
            freeze.stop()
            with pytest.raises(IndexError):
                freeze.stop()
            assert datetime.now() == START


class TestAroundARun:
    def test_lockstep_begins_at_the_users_date_and_moves_it(self) -> None:
        wall = HandWall()
        with freeze_time(USERS) as frozen:
            with wall.running():
                assert datetime.now() == USERS
                wall.jump(60)
                assert datetime.now() == USERS + timedelta(minutes=1)
                assert wall.now() == datetime.now(UTC)
                assert time.monotonic() == 60
            assert datetime.now() == frozen() == USERS + timedelta(minutes=1)
            frozen.tick(timedelta(minutes=1))
            wall.jump(5)
            with wall.running():
                assert datetime.now() == USERS + timedelta(minutes=2)

    @pytest.mark.parametrize("options", [{}, {"tick": True}])
    def test_the_users_factory_moves_the_clock(self, options: dict[str, Any]) -> None:
        wall = HandWall()
        with freeze_time(USERS, **options) as frozen, wall.running():
            frozen.move_to("2001-01-01")
            wall.jump(1)
            assert datetime.now() == datetime(2001, 1, 1, 0, 0, 1)
            assert frozen.tick() == datetime(2001, 1, 1, 0, 0, 2)
            frozen.tick(0.5)
            frozen.tick(timedelta(days=1))
            assert datetime.now() == datetime(2001, 1, 2, 0, 0, 2, 500_000)

    def test_the_offset_and_the_ignore_list_stay(self) -> None:
        caller: dict[str, Any] = {"__name__": "shop.signing", "time": time}
        exec("def read(): return time.time()", caller)
        wall = HandWall()
        with freeze_time(USERS, tz_offset=3, ignore=["shop.signing"]), wall.running():
            wall.jump(60)
            assert datetime.now() == USERS + timedelta(hours=3, minutes=1)
            assert caller["read"]() > START.timestamp() - 86_400
            assert time.time() == (USERS + timedelta(minutes=1)).replace(tzinfo=UTC).timestamp()

    def test_a_date_that_counts_the_calls_stays_in_force(self) -> None:
        wall = HandWall()
        with freeze_time(USERS, auto_tick_seconds=15), wall.running():
            wall.jump(1000)
            first, second = datetime.now(), datetime.now()
        # Other threads may ask for the time as well, and each call counts.
        assert USERS <= first < second < USERS + timedelta(seconds=1000)
        assert (
            (first - USERS) % timedelta(seconds=15)
            == (second - first) % timedelta(seconds=15)
            == timedelta(0)
        )

    def test_without_lockstep_the_freeze_stays(self) -> None:
        wall = HandWall(None)
        with freeze_time(USERS), wall.running():
            wall.jump(60)
            assert datetime.now() == USERS

    def test_another_clock_begins_at_the_date_of_a_freeze_in_the_first_ones_run(self) -> None:
        first, second = HandWall(), HandWall("2027-01-01")
        with first.running():
            with freeze_time(USERS):
                with second.running():
                    second.jump(60)
                    assert datetime.now() == USERS + timedelta(minutes=1)
                assert datetime.now() == USERS + timedelta(minutes=1)
            assert datetime.now() == START


class TestOverlaps:
    """As with a freeze in an async fixture: the loop stops and runs again within it, or it ends in a later run."""

    def test_begun_in_a_run_and_ended_after_it(self) -> None:
        wall, freeze = HandWall(), freeze_time(USERS)
        with wall.running():
            freeze.start()
        assert datetime.now() == USERS
        freeze.stop()

    def test_begun_in_a_run_and_ended_in_the_next(self) -> None:
        wall, freeze = HandWall(), freeze_time(USERS)
        with wall.running():
            freeze.start()
        with wall.running():
            wall.jump(60)
            assert datetime.now() == USERS + timedelta(minutes=1)
            freeze.stop()
            assert datetime.now() == USERS + timedelta(minutes=1)

    def test_begun_before_a_run_and_ended_in_it(self) -> None:
        module = types.ModuleType("patched_by_the_freeze")
        module.now = time.time  # type: ignore[attr-defined]
        sys.modules[module.__name__] = module
        wall, freeze = HandWall(), freeze_time(USERS, real_asyncio=True)
        try:
            freeze.start()
            with wall.running():
                freeze.stop()
                wall.jump(60)
                assert datetime.now() == USERS + timedelta(minutes=1)
                assert module.now() == datetime.now(UTC).timestamp()
            assert module.now is api.real_time
        finally:
            del sys.modules[module.__name__]

    def test_two_freezes_ended_in_the_order_in_which_they_began(self) -> None:
        wall, outer, inner = HandWall(), freeze_time(USERS), freeze_time("1999-01-01")
        with wall.running():
            outer.start()
            inner.start()
            outer.stop()
        inner.stop()

    def test_an_outer_freeze_outlives_one_that_began_in_the_run(self) -> None:
        wall, inner = HandWall(), freeze_time("1999-01-01")
        with freeze_time(USERS):
            with wall.running():
                inner.start()
            assert datetime.now() == datetime(1999, 1, 1)
            inner.stop()
            assert datetime.now() == USERS

    def test_begun_in_one_run_with_another_clock_still_running(self) -> None:
        first, second, freeze = HandWall(), HandWall("2027-01-01"), freeze_time(USERS)
        first.enter()
        second.enter()
        freeze.start()
        first.exit()
        assert datetime.now() == USERS
        freeze.stop()
        assert datetime.now() == datetime(2027, 1, 1)
        second.exit()

    def test_a_decorator_is_used_again_afterwards(self) -> None:
        freeze = freeze_time(USERS)
        wall = HandWall()
        with freeze, wall.running():
            pass
        freeze.start()
        with wall.running():
            freeze.stop()
        with freeze:
            assert datetime.now() == USERS
        with wall.running(), freeze:
            assert datetime.now() == USERS

    def test_a_stop_looked_up_in_a_run_and_called_outside(self) -> None:
        wall, freeze = HandWall(), freeze_time(USERS)
        with wall.running():
            stop = freeze.stop
        freeze.start()
        assert datetime.now() == USERS
        stop()

    def test_a_stop_looked_up_before_a_run_and_called_in_it(self) -> None:
        wall, freeze = HandWall(), freeze_time(USERS)
        stop = freeze.stop
        freeze.start()
        with wall.running():
            stop()
            assert datetime.now() == USERS
