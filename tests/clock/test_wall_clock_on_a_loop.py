"""The wall clock of a virtual loop that runs."""

from __future__ import annotations

import asyncio
import datetime as datetime_module
import gc
import logging
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from freezegun import api, freeze_time
from sqlalchemy.ext.asyncio import create_async_engine

from pytest_uno import ClockTimeoutError
from pytest_uno.clock import VirtualEventLoop
from tests.clock.running import run_virtual

START = datetime(2026, 1, 1, tzinfo=UTC)
USERS = datetime(2000, 5, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def everything_real_afterwards() -> Iterator[None]:
    yield
    assert api.freeze_factories == []
    assert datetime_module.datetime is datetime is api.real_datetime


def virtual_loop() -> VirtualEventLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualEventLoop)
    return loop


def test_an_hour_of_sleep_is_an_hour_of_every_clock() -> None:
    async def main() -> None:
        clock = virtual_loop().clock
        clock.travel_to(START)
        began = time.monotonic()
        await asyncio.sleep(3600)
        assert datetime.now(UTC) == clock.now() == START + timedelta(hours=1)
        assert time.monotonic() - began == 3600
        assert time.monotonic() == virtual_loop().time()
        assert await asyncio.to_thread(lambda: datetime.now(UTC)) == START + timedelta(hours=1)

    run_virtual(main)


def test_without_asking_the_dates_are_real() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        assert datetime is api.real_datetime
        return time.time()

    before = time.time()
    assert run_virtual(main)[0] - before < 60


def test_the_first_now_begins_at_the_real_time() -> None:
    async def main() -> tuple[datetime, datetime]:
        first = virtual_loop().clock.now()
        await asyncio.sleep(60)
        return first, datetime.now(UTC)

    before = datetime.now(UTC)
    (first, second), _ = run_virtual(main)
    assert timedelta(0) <= first - before < timedelta(minutes=1)
    assert second - first == timedelta(minutes=1)


def test_a_periodic_job_by_the_date() -> None:
    async def main() -> list[datetime]:
        virtual_loop().clock.travel_to("2026-03-01T22:30")
        runs: list[datetime] = []
        while len(runs) < 3:
            now = datetime.now(UTC)
            midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
            await asyncio.sleep((midnight - now).total_seconds())
            runs.append(datetime.now(UTC))
        return runs

    assert run_virtual(main)[0] == [datetime(2026, 3, day, tzinfo=UTC) for day in (2, 3, 4)]


def test_it_goes_on_in_the_next_run_of_the_loop() -> None:
    async def sleep() -> datetime:
        await asyncio.sleep(60)
        return datetime.now(UTC)

    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualEventLoop)
        loop.clock.wall.start_at(START)
        assert runner.run(sleep()) == START + timedelta(minutes=1)
        assert datetime is api.real_datetime
        assert runner.run(sleep()) == START + timedelta(minutes=2)


def test_on_real_time_the_dates_are_real() -> None:
    async def read() -> datetime:
        assert datetime is api.real_datetime
        return virtual_loop().clock.now()

    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualEventLoop)
        loop.clock.travel_to("2000-01-01")
        loop.clock.run_real()
        assert runner.run(read()) > START - timedelta(days=1)


def test_an_error_that_ends_the_loop_leaves_everything_real() -> None:
    async def main() -> None:
        clock = virtual_loop().clock
        clock.travel_to(START)
        clock.deadline = clock.time() + 5
        await asyncio.sleep(10)

    with pytest.raises(ClockTimeoutError):
        run_virtual(main)


def test_the_clock_is_freed_with_its_loop() -> None:
    async def main() -> None:
        virtual_loop().clock.travel_to(START)

    gc.collect()
    gc.disable()
    try:
        clock = weakref.ref(run_virtual(main)[1])
        assert clock() is None
    finally:
        gc.enable()


def test_the_users_freeze_inside_and_around() -> None:
    @freeze_time(USERS, real_asyncio=True)
    async def frozen() -> datetime:
        await asyncio.sleep(60)
        return datetime.now(UTC)

    async def main() -> None:
        virtual_loop().clock.travel_to(START)
        assert await frozen() == USERS
        assert datetime.now(UTC) == START + timedelta(minutes=1)
        with freeze_time(USERS) as date:
            date.tick(5)
            async with asyncio.timeout(1):
                await asyncio.sleep(0.5)
            assert datetime.now(UTC) == USERS + timedelta(seconds=5)

    run_virtual(main)

    async def without_lockstep() -> None:
        assert await frozen() == USERS
        assert datetime is api.real_datetime

    run_virtual(without_lockstep)
    with freeze_time(USERS, real_asyncio=True):
        assert run_virtual(frozen)[1].elapsed == 60


def test_a_process_that_does_not_end_times_out_in_real_time() -> None:
    async def main() -> None:
        virtual_loop().clock.travel_to(START)
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=0.01)
            process.kill()

    run_virtual(main)


def test_an_async_database_takes_the_dates() -> None:
    table = sa.Table(
        "events",
        sa.MetaData(),
        sa.Column("at", sa.DateTime, default=lambda: datetime.now(UTC).replace(tzinfo=None)),
        sa.Column("number", sa.Integer),
    )

    async def main() -> None:
        virtual_loop().clock.travel_to("2026-01-01T10:00")
        engine = create_async_engine("sqlite+aiosqlite://")
        async with engine.begin() as connection:
            await connection.run_sync(table.metadata.create_all)
            await connection.execute(table.insert().values(number=1))
            await asyncio.sleep(60)
            await connection.execute(table.insert().values(number=2))
            late = table.c.at > datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=30)
            found = (await connection.execute(sa.select(table).where(late))).all()
        await engine.dispose()
        assert [tuple(row) for row in found] == [(datetime(2026, 1, 1, 10, 1), 2)]

    run_virtual(main)


def test_log_records_carry_the_virtual_time(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        virtual_loop().clock.travel_to(START)
        await asyncio.sleep(1.5)
        logging.getLogger(__name__).warning("inside")

    run_virtual(main)
    assert [record.created for record in caplog.records] == [START.timestamp() + 1.5]
