"""Dates in tests: `start=`, and the user's own `freeze_time`."""

from __future__ import annotations

import time
from typing import Any

import pytest


@pytest.mark.parametrize("scope", ["function", "module"])
def test_a_start_sets_the_date_which_follows_the_clock(project: Any, scope: str) -> None:
    result = project.run(
        f"""
    import datetime
    import time

    pytestmark = pytest.mark.uno_async(loop_scope="{scope}", start="2030-01-01T00:00Z")

    def now():
        return datetime.datetime.now(datetime.timezone.utc)

    @pytest.fixture
    async def dated():
        await asyncio.sleep(60)
        return now()

    async def test_text(dated, uno_clock):
        assert dated.isoformat() == "2030-01-01T00:01:00+00:00"
        await asyncio.sleep(86_400)
        assert now().isoformat() == "2030-01-02T00:01:00+00:00"
        assert now() == uno_clock.now()
        assert time.time() == now().timestamp()

    @pytest.mark.uno_async(start=datetime.datetime(2031, 5, 1, 12))
    async def test_naive_is_utc():
        await asyncio.sleep(1)
        assert now().isoformat() == "2031-05-01T12:00:01+00:00"

    @pytest.mark.uno_async(start=None)
    async def test_without():
        await asyncio.sleep(86_400)
        assert now().year < 2030
        assert type(datetime.datetime.now()) is datetime.datetime

    def test_sync():
        assert now().year < 2030
        assert type(time.time).__name__ == "builtin_function_or_method"
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 4}


def test_the_run_puts_freezegun_away_and_keeps_durations(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async(start="2030-01-01")
    async def test_it():
        await asyncio.sleep(10_000)
    """,
        "--durations=0",
        "-vv",
    )
    assert project.outcomes(result) == {"passed": 1}
    call = next(line for line in result.outlines if " call " in line and "test_it" in line)
    assert float(call.split("s ")[0]) < 600
    assert type(time.time).__name__ == "builtin_function_or_method"


def test_freeze_time_of_the_user_decorates_uno_tests(project: Any) -> None:
    result = project.run(
        """
    import datetime
    from freezegun import freeze_time

    @pytest.mark.uno_async
    @freeze_time("2020-02-02")
    async def test_frozen(uno_clock):
        await asyncio.sleep(3600)
        assert datetime.datetime.now().isoformat() == "2020-02-02T00:00:00"
        assert uno_clock.elapsed == 3600

    @pytest.mark.uno_async(timeout=3)
    async def test_inside(uno_clock):
        with freeze_time("2020-02-02") as frozen:
            await asyncio.sleep(1)
            frozen.tick(10)
            await asyncio.sleep(1)
            assert datetime.datetime.now().isoformat() == "2020-02-02T00:00:10"
        assert uno_clock.elapsed == 2
        assert datetime.datetime.now().year > 2020

    @pytest.mark.uno_async(real_timeout=60)
    @freeze_time("2020-02-02")
    async def test_watched():
        await asyncio.sleep(3600)
    """,
        "-W",
        "error",
    )
    assert project.outcomes(result) == {"passed": 3}


def test_a_run_on_real_time_refuses_a_start(project: Any) -> None:
    result = project.run(
        """
    @pytest.mark.uno_async(start="2030-01-01")
    async def test_it(): ...
    """,
        "--uno-clock=real",
    )
    assert project.outcomes(result) == {"errors": 1}
    result.stdout.fnmatch_lines(["*needs virtual time, and the test runs on real time (uno_clock = real)*"])
