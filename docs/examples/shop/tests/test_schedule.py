"""The daily job: weeks of nights, with `start=` for the date on which the first of them begins."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, time

import pytest
from pytest_uno import AsyncManager
from pytest_uno.clock import VirtualClock

from shop.schedule import find_next, run_daily

pytestmark = pytest.mark.uno_async(start="2028-02-26T22:00Z")

NIGHT = time(3, 0)
HOUR = 3600


@pytest.mark.parametrize(
    ("after", "due"),
    [
        ("2026-05-01T02:59:59Z", "2026-05-01T03:00Z"),
        ("2026-05-01T03:00:00Z", "2026-05-02T03:00Z"),
        ("2026-12-31T03:00:01Z", "2027-01-01T03:00Z"),
    ],
)
def test_the_next_night_is_found(after: str, due: str) -> None:
    assert find_next(NIGHT, datetime.fromisoformat(after)) == datetime.fromisoformat(due)


async def test_the_job_runs_every_night_leap_days_included(
    uno_clock: VirtualClock, uno_manager: AsyncManager
) -> None:
    runs: list[datetime] = []

    async def job() -> None:
        runs.append(datetime.now(UTC))

    uno_manager.create_task(run_daily(NIGHT, job))
    await uno_clock.advance(4 * 24 * HOUR)

    assert [f"{run:%m-%d %H:%M}" for run in runs] == [
        "02-27 03:00",
        "02-28 03:00",
        "02-29 03:00",
        "03-01 03:00",
    ]


async def test_a_night_that_fails_is_followed_by_another(
    uno_clock: VirtualClock, uno_manager: AsyncManager, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[float] = []

    async def job() -> None:
        runs.append(uno_clock.elapsed)
        if len(runs) == 1:
            raise OSError("the disk is full")

    uno_manager.create_task(run_daily(NIGHT, job))
    with caplog.at_level(logging.ERROR):
        await uno_clock.advance(30 * HOUR)

    assert runs == [5 * HOUR, 29 * HOUR]
    assert "was due at 2028-02-27 03:00:00+00:00 failed" in caplog.text


async def test_a_job_that_takes_longer_than_a_day_misses_a_night(
    uno_clock: VirtualClock, uno_manager: AsyncManager
) -> None:
    runs: list[float] = []

    async def job() -> None:
        runs.append(uno_clock.elapsed)
        await asyncio.sleep(30 * HOUR)

    uno_manager.create_task(run_daily(NIGHT, job))
    await uno_clock.advance(60 * HOUR)

    assert runs == [5 * HOUR, 53 * HOUR]


async def test_a_clock_that_is_put_back_does_not_start_the_job_early(
    uno_clock: VirtualClock, uno_manager: AsyncManager
) -> None:
    runs: list[float] = []

    async def job() -> None:
        runs.append(uno_clock.elapsed)

    uno_manager.create_task(run_daily(NIGHT, job))
    await uno_clock.advance(HOUR)
    uno_clock.travel_to("2028-02-26T22:00Z")
    await uno_clock.advance(24 * HOUR)

    assert runs == [6 * HOUR]
