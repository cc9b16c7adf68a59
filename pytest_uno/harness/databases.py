"""The database of a test, as its guard begins and ends it.

SQLAlchemy is imported by the first test that has a database: one whose project names an engine, or that asks for a
fixture of the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_uno.core.errors import ExplorationError, compose_message
from pytest_uno.database.settings import DatabaseSettings
from pytest_uno.harness.asyncio_internals import run_at_once

if TYPE_CHECKING:
    from pytest_uno.clock.virtual_clock import VirtualClock
    from pytest_uno.database.records import SandboxEnd
    from pytest_uno.database.run_databases import RunDatabases
    from pytest_uno.database.uno_database import UnoDatabase
    from pytest_uno.harness.run_state import TestRun

__all__ = ["DATABASE_FIXTURES", "SharedDatabases", "TestDatabase"]

DATABASE_FIXTURES = frozenset({"uno_db", "uno_session", "uno_session_factory"})


class SharedDatabases:
    """The databases of the run, from the first test on that has one.

    Args:
        settings: the settings of the run.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self.settings = settings
        self._databases: RunDatabases | None = None

    def get(self) -> RunDatabases:
        """Return the databases of the run; the first call imports the application.

        Raises:
            SandboxError: a setting is wrong.
        """
        if self._databases is None:
            from pytest_uno.database.run_databases import RunDatabases
            from pytest_uno.database.settings import new_run_id

            run_id = self.settings.run_id or new_run_id()
            self._databases = RunDatabases(self.settings._replace(run_id=run_id))
        return self._databases

    def block(self) -> None:
        """Refuse the use of the application's engines outside of a sandbox from now on.

        Must be called before fixtures of a wider scope are set up: the first one would open the database of the URL.

        Raises:
            SandboxError: a setting is wrong.
        """
        if self.settings.engine_specs and self.settings.mode != "off":
            self.get()

    def leave_loop(self, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        """Close what is open for the tests of a loop that is wider than a test; it must still be open.

        Args:
            run: runs a coroutine in that loop.
        """
        if self._databases is not None:
            run(self._databases.leave_loop())

    def close(self) -> None:
        """Drop them, in a loop of their own: those of the tests are closed."""
        databases, self._databases = self._databases, None
        if databases is not None:
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(databases.close())


class TestDatabase:
    """The database of one test, from its guard's beginning to its end.

    Args:
        shared: the databases of the run.
        test: the test.
        wider_loop: its loop if that does not end with it.
    """

    __test__ = False
    __slots__ = ("_sessions", "_shared", "_test", "_wider_loop", "uno_db")

    def __init__(
        self, shared: SharedDatabases, test: TestRun, wider_loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self._shared = shared
        self._wider_loop = wider_loop
        self._test = test
        self._sessions: list[Any] = []
        self.uno_db: UnoDatabase | None = None

    def begin(self) -> None:
        """Put the engines into the sandbox of the test; must be called while its loop does not run.

        Raises:
            SandboxError: a setting is wrong.
            pytest.fail.Exception: the test limits its queries, and has no database.
        """
        options = self._test.options
        fixtures = cast("list[str]", getattr(self._test.item, "fixturenames", []))
        is_wanted = bool(self._shared.settings.engine_specs) or not DATABASE_FIXTURES.isdisjoint(fixtures)
        if options.db == "off" or not is_wanted:
            if options.max_queries is not None:
                self._refuse_limit()
            return
        clock = self._test.clock
        self.uno_db = self._begin_on(None if clock is None else clock.clock, self._wider_loop)
        self._test.manager.session_factory = self.uno_db.session_factory

    def begin_schedule(self, clock: VirtualClock) -> UnoDatabase:
        """Put the engines into a sandbox of one schedule; the test must be suspended. `end` undoes it.

        Args:
            clock: the clock of the schedule.

        Returns:
            The database of the schedule.
        """
        self.uno_db = self._begin_on(clock, None)
        return self.uno_db

    def suspend(self) -> Callable[[], None]:
        """Take the engines out of the test's sandbox, in which nothing has been done yet.

        Returns:
            What puts them back.

        Raises:
            ExplorationError: something has been done in it.
        """
        uno_db = self.uno_db
        assert uno_db is not None
        if uno_db.queries or uno_db.transactions:
            raise ExplorationError(
                compose_message(
                    f"{self._test.item.nodeid}: uno_explore() was called after the test had used its database",
                    cause="each schedule has the database as it is before the test: what the test has done would be "
                    "missing in it",
                    fix="explore first, or do in the scenario what it needs in the database",
                    anchor="explore-used-database",
                )
            )
        run_at_once(self._shared.get().end_test())  # of a sandbox without a connection: it waits for nothing
        self.uno_db = None

        def resume() -> None:
            clock = self._test.clock
            uno_db.continue_as(self._begin_on(None if clock is None else clock.clock, self._wider_loop))
            self.uno_db = uno_db

        return resume

    def _begin_on(
        self, clock: VirtualClock | None, wider_loop: asyncio.AbstractEventLoop | None
    ) -> UnoDatabase:
        options = self._test.options
        return self._shared.get().begin_test(
            mode=cast("Any", options.db),
            conflict=cast("Any", options.db_conflict),
            wait=options.db_wait,
            clock=clock,
            wider_loop=wider_loop,
        )

    def open_session(self) -> Any:
        """Return a session that is closed with the test."""
        assert self.uno_db is not None
        session = self.uno_db.session_factory()
        self._sessions.append(session)
        return session

    def close_sessions(self, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        """Close the sessions of the fixtures: what they hold is no leak.

        Args:
            run: runs a coroutine in the loop of the test.
        """
        sessions, self._sessions = self._sessions, []
        for session in sessions:
            run(session.close())

    def end(self, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> Exception | None:
        """Undo what the test did; must be called while its loop does not run.

        Args:
            run: runs a coroutine in the loop of the test.

        Returns:
            What is wrong with what the test did in the database.
        """
        __tracebackhide__ = True
        uno_db, self.uno_db = self.uno_db, None
        if uno_db is None:
            return None
        end: SandboxEnd = run(self._shared.get().end_test())
        if end.escape is not None:
            return end.escape
        limit = self._test.options.max_queries
        if limit is not None:
            from pytest_uno.database.query_limits import check_query_count

            try:
                check_query_count(uno_db.queries, limit, "the test")
            except Exception as error:
                return error
        return None

    def _refuse_limit(self) -> None:
        pytest.fail(
            compose_message(
                f"{self._test.item.nodeid}: uno_async(max_queries=...) counts the statements of a database, and the "
                "test has none",
                cause="uno_db_engine is not set and the test asks for none of uno_db, uno_session and "
                "uno_session_factory; or its mode is off",
                fix="set uno_db_engine, or remove max_queries=",
                anchor="too-many-queries",
            ),
            pytrace=False,
        )
