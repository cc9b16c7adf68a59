"""What a test sees of the date, and what pytest and the other tests do not."""

from __future__ import annotations

import pytest

import pytest_uno.clock.freezegun_internals  # noqa: F401  (the inner runs restore sys.modules afterwards)
from tests.harness.conftest import Project

HEAD = """
import time
from datetime import UTC, datetime
from freezegun import api

START = datetime(2026, 1, 1, tzinfo=UTC)
"""


def test_a_test_begins_at_its_start_and_sleeps_forward(project: Project) -> None:
    result = project.run(
        HEAD
        + """
@pytest.mark.uno_async(start="2026-01-01T00:00Z")
async def test_hour():
    began = time.monotonic()
    await asyncio.sleep(3600)
    assert datetime.now(UTC).timestamp() == time.time() == START.timestamp() + 3600
    assert time.monotonic() - began == 3600

@pytest.mark.uno_async
async def test_next():
    assert datetime is api.real_datetime

def test_sync():
    assert api.freeze_factories == []
    assert datetime is api.real_datetime
"""
    )
    result.assert_outcomes(passed=3)


def test_tests_on_one_loop_have_different_dates(project: Project) -> None:
    result = project.run(
        HEAD
        + """
pytestmark = pytest.mark.asyncio(loop_scope="module")

@pytest.mark.uno_async(start="2026-01-01")
async def test_first(uno_clock):
    await asyncio.sleep(60)
    assert datetime.now(UTC).timestamp() == START.timestamp() + 60

@pytest.mark.uno_async
async def test_real():
    assert datetime is api.real_datetime

@pytest.mark.uno_async(start="2027-01-01")
async def test_second(uno_clock):
    await asyncio.sleep(60)
    assert datetime.now(UTC) == uno_clock.now() == datetime(2027, 1, 1, 0, 1, tzinfo=UTC)
"""
    )
    result.assert_outcomes(passed=3)


def test_async_fixtures_are_on_the_date_of_the_test(project: Project) -> None:
    result = project.run(
        HEAD
        + """
import pytest_asyncio

@pytest_asyncio.fixture
async def created():
    await asyncio.sleep(60)
    yield datetime.now(UTC)
    assert datetime.now(UTC).timestamp() == START.timestamp() + 3660

@pytest.mark.uno_async(start="2026-01-01")
async def test_age(created):
    await asyncio.sleep(3600)
    assert (datetime.now(UTC) - created).total_seconds() == 3600
"""
    )
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("marker", ["uno_async", 'uno_async(start="2026-01-01")'])
def test_a_freeze_of_a_fixture_lends_its_date(project: Project, marker: str) -> None:
    moved = 60 if "start" in marker else 0
    result = project.run(
        HEAD
        + f"""
from freezegun import freeze_time

@pytest.fixture
def frozen():
    with freeze_time("2000-05-05") as frozen:
        yield frozen

@pytest.mark.{marker}
async def test_date(frozen):
    await asyncio.sleep(60)
    assert (datetime.now() - datetime(2000, 5, 5)).total_seconds() == {moved}
    frozen.move_to("2001-01-01")
    assert datetime.now() == datetime(2001, 1, 1)

def test_afterwards():
    assert datetime is api.real_datetime
"""
    )
    result.assert_outcomes(passed=2)


def test_the_durations_of_pytest_are_real(project: Project) -> None:
    project.file(
        "conftest.py",
        """
        def pytest_runtest_logreport(report):
            assert 0 <= report.duration < 60
            assert 1.6e9 < report.start < report.stop < report.start + 60 < 4e9
        """,
    )
    result = project.run(
        """
import time

@pytest.mark.uno_async(start="2300-01-01")
async def test_day():
    await asyncio.sleep(86_400)
    assert time.time() > 10e9
"""
    )
    result.assert_outcomes(passed=1)
    assert 0 <= result.duration < 60
