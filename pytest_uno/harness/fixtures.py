"""The fixtures that every project gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_uno.core.errors import compose_message
from pytest_uno.harness.pytest_internals import runner_fixture_name, test_loop_scope

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

    from pytest_uno.clock.virtual_clock import VirtualClock
    from pytest_uno.core.async_manager import AsyncManager
    from pytest_uno.database.uno_database import UnoDatabase
    from pytest_uno.harness.databases import TestDatabase
    from pytest_uno.harness.guard import TestGuard
    from pytest_uno.harness.runner import TestRunner
    from pytest_uno.harness.scenario_exploration import ScenarioExploration
    from pytest_uno.leaks.leak_watch import LeakWatch

__all__ = [
    "CLOCK_FIXTURE",
    "GUARD",
    "GUARD_FIXTURE",
    "TEST_RUNNER",
    "uno_clock",
    "uno_db",
    "uno_explore",
    "uno_leaks",
    "uno_manager",
    "uno_session",
    "uno_session_factory",
]

CLOCK_FIXTURE = "uno_clock"

GUARD_FIXTURE = "_uno_guard"

GUARD: pytest.StashKey[TestGuard] = pytest.StashKey()
"""On an item, from the guard's beginning to its end."""

TEST_RUNNER: pytest.StashKey[TestRunner] = pytest.StashKey()
"""On the config, from the first adopted test on."""


@pytest.fixture
def uno_manager(request: pytest.FixtureRequest) -> AsyncManager:
    """The `AsyncManager` of this test, which `get_async_manager()` returns inside it, too.

    It is shut down when the test and its function-scoped fixtures are over: what it was given is closed then, and is
    no leak. Function scope; needs a test marked `uno_async`.

    Example:
        @pytest.mark.uno_async
        async def test_poller(uno_manager):
            uno_manager.create_task(poll())
    """
    return _guard_of(request, "uno_manager").test.manager


@pytest.fixture(name=CLOCK_FIXTURE)
def uno_clock(request: pytest.FixtureRequest) -> VirtualClock:
    """The clock of this test: reads, advances and pauses its virtual time.

    With `clock="real"` it tells the time, and cannot be steered. On a loop of another library, such as uvloop, the
    test fails. Function scope; needs a test marked `uno_async`.

    Example:
        @pytest.mark.uno_async
        async def test_session_expires(uno_clock, shop):
            session = await shop.log_in()
            await uno_clock.advance(3600)
            assert session.has_expired
    """
    guard = _guard_of(request, CLOCK_FIXTURE)
    clock = guard.test.clock.clock if guard.test.clock is not None else None
    if clock is None:
        kind = type(guard.test.loop)
        pytest.fail(
            compose_message(
                f"{request.node.nodeid}: the loop {kind.__module__}.{kind.__qualname__} has no uno_clock",
                cause="the loop is not of pytest_uno's class, and knows real time only",
                fix="remove what makes the loop, or do without uno_clock; take uno_clock as an argument, "
                "not by getfixturevalue()",
                anchor="no-virtual-time",
            ),
            pytrace=False,
        )
    return clock


@pytest.fixture
def uno_leaks(request: pytest.FixtureRequest) -> LeakWatch:
    """What this test knows about its own leaks: which are expected, which objects are none, what was found.

    Where nothing is looked for (`leaks="off"`), nothing is expected either. Function scope; needs a test marked
    `uno_async`.

    Example:
        @pytest.mark.uno_async
        async def test_poller_leaks(uno_leaks):
            with uno_leaks.expect("UNO101", match="poll"):
                start_poller()
    """
    return _guard_of(request, "uno_leaks").make_leak_watch()


@pytest.fixture
def uno_db(request: pytest.FixtureRequest) -> UnoDatabase:
    """The database of this test: the application's engine in a sandbox, and what the test has done in it.

    Whatever the test commits is undone when it ends. Without `uno_db_engine` it is an empty SQLite database of the
    plugin's own. Function scope; needs a test marked `uno_async`.

    Example:
        @pytest.mark.uno_async
        async def test_order_is_kept(uno_db, client):
            await client.post("/orders", json={"item": "tea"})
            assert [commit.tables for commit in uno_db.commits] == [("orders",)]
    """
    return _database_of(request, "uno_db")[1]


@pytest.fixture
def uno_session(request: pytest.FixtureRequest) -> AsyncSession:
    """An `AsyncSession` in the sandbox of this test; it is closed when the test is over.

    Function scope; needs a test marked `uno_async`.

    Example:
        @pytest.mark.uno_async
        async def test_order_is_stored(uno_session):
            uno_session.add(Order(item="tea"))
            await uno_session.commit()
    """
    session: AsyncSession = _database_of(request, "uno_session")[0].open_session()
    return session


@pytest.fixture
def uno_session_factory(request: pytest.FixtureRequest) -> async_sessionmaker[AsyncSession]:
    """An `async_sessionmaker` of the sandbox of this test, for code that opens sessions itself.

    `transaction_manager()` uses it, too, in a uno test. Function scope; needs a test marked `uno_async`.

    Example:
        @pytest.mark.uno_async
        async def test_import(uno_session_factory):
            await import_orders(uno_session_factory)
    """
    return _database_of(request, "uno_session_factory")[1].session_factory


@pytest.fixture
def uno_explore(request: pytest.FixtureRequest) -> ScenarioExploration:
    """Runs a scenario in many schedules that asyncio allows, and returns a report: is there one in which it fails?

    For async tests (`report = await uno_explore(scenario)`) and sync ones, marked or not. Each schedule has a loop, a
    manager and, in a marked test with a database, a sandbox of its own. Function scope.

    Example:
        @pytest.mark.uno_async
        async def test_no_deposit_is_lost(uno_explore):
            async def scenario():
                account = Account()
                await asyncio.gather(account.deposit(1), account.deposit(2))
                assert account.balance == 3

            report = await uno_explore(scenario)
            assert report.failure is None, report.explanation
    """
    from pytest_uno.harness.scenario_exploration import ScenarioExploration
    from pytest_uno.harness.settings import SETTINGS

    guard: TestGuard | None = request.node.stash.get(GUARD, None)
    database = None if guard is None else guard.test.database
    return ScenarioExploration(request.node, request.config.stash[SETTINGS].exploration, database)


def _database_of(request: pytest.FixtureRequest, fixture: str) -> tuple[TestDatabase, UnoDatabase]:
    database = _guard_of(request, fixture).test.database
    uno_db = None if database is None else database.uno_db
    if database is None or uno_db is None:
        pytest.fail(
            compose_message(
                f"{request.node.nodeid}: the fixture {fixture} needs a database",
                cause="the test says db=False or its mode is off; or it took the fixture with getfixturevalue()",
                fix=f"take {fixture} as an argument of the test or of a fixture, and leave the mode on",
                anchor="no-test-database",
            ),
            pytrace=False,
        )
    return database, uno_db


def _guard_of(request: pytest.FixtureRequest, fixture: str) -> TestGuard:
    guard: TestGuard | None = request.node.stash.get(GUARD, None)
    if guard is None:
        pytest.fail(
            compose_message(
                f"{request.node.nodeid}: the fixture {fixture} needs a uno_async test",
                cause="the test has no uno_async marker, or is not async",
                fix="mark the async test with @pytest.mark.uno_async, or set uno_async_mode = auto",
                anchor="manager-outside-test",
            ),
            pytrace=False,
        )
    return guard


@pytest.fixture(name=GUARD_FIXTURE)
def _guard(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Guard a test whose loop is not its own; asks for the loop first, so that plain sync fixtures see it."""
    runner = request.getfixturevalue(runner_fixture_name(test_loop_scope(request.node)))
    test_runner = request.config.stash[TEST_RUNNER]
    yield from test_runner.guard(request.node, runner, owns_loop=test_loop_scope(request.node) == "function")
