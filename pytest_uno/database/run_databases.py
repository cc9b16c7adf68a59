"""The databases of one process of a test run: made when the first test needs them, a sandbox for each test.

Between tests the engines are blocked: a task that is late, or a fixture that is wider than a test, would write into
the database that the next test begins with. Nothing is opened before a test opens something.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from pytest_uno.database.dialects.choice import choose_dialect
from pytest_uno.database.embedded import make_embedded_engine
from pytest_uno.database.frozen_time import FrozenTime
from pytest_uno.database.kept_connections import KeptConnections
from pytest_uno.database.loading import load_engine
from pytest_uno.database.records import SandboxEnd
from pytest_uno.database.sandbox.pool import block, unblock
from pytest_uno.database.sandbox.rollback import RollbackSandbox
from pytest_uno.database.settings import DatabaseSettings
from pytest_uno.database.snapshot import SnapshotSandbox
from pytest_uno.database.templates.choice import make_template
from pytest_uno.database.uno_database import UnoDatabase

if TYPE_CHECKING:
    from pytest_uno.clock import VirtualClock

__all__ = ["RunDatabases"]


class RunDatabases:
    """The engines, the template and the sandbox of the current test.

    Must be used by one thread; one test at a time.

    Args:
        settings: the project's settings.

    Raises:
        SandboxError: a setting names something that is not there, or an engine that no sandbox can be made for.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        if settings.engine_specs:
            self.engines: tuple[AsyncEngine, ...] = tuple(map(load_engine, settings.engine_specs))
        else:
            self.engines = (make_embedded_engine(),)
        self._template = make_template(self.engines, settings)
        self._template.install()
        self._kept = KeptConnections()
        self._is_loop_bound = not choose_dialect(self.engines[0].dialect).survives_loop
        self._time = FrozenTime(self.engines)
        self._session_factory: async_sessionmaker[AsyncSession] = async_sessionmaker(
            self.engines[0], expire_on_commit=False
        )
        self._sandbox: RollbackSandbox | SnapshotSandbox | None = None
        self._block()

    def begin_test(
        self,
        *,
        mode: Literal["rollback", "snapshot"],
        conflict: Literal["error", "join"],
        wait: float,
        clock: VirtualClock | None,
        wider_loop: asyncio.AbstractEventLoop | None = None,
    ) -> UnoDatabase:
        """Put the engines into a new sandbox; opens nothing.

        Args:
            mode: how the test is kept apart.
            conflict: what a second transaction of one task does.
            wait: real seconds that a task waits for the transaction of another.
            clock: the clock of the test, whose dates SQLite's functions follow.
            wider_loop: the loop of the test if that does not end with it: the connection may stay open until
                `leave_loop`.

        Returns:
            The database of the test.
        """
        self._unblock()
        sandbox: RollbackSandbox | SnapshotSandbox
        if mode == "rollback":
            source = None
            if wider_loop is not None and self._is_loop_bound:
                source = self._kept.pool_of(wider_loop, self.engines[0].sync_engine.pool)
            sandbox = RollbackSandbox(
                self.engines,
                conflict=conflict,
                wait=wait,
                reset_sequences=self._settings.reset_sequences,
                keep_connection=source is not None,
                source=source,
            )
        else:
            sandbox = SnapshotSandbox(self._template)
        sandbox.start()
        self._sandbox = sandbox
        self._time.clock = clock
        return UnoDatabase(self.engines, mode, sandbox, self._session_factory)

    async def end_test(self) -> SandboxEnd:
        """Undo what the test did, and block the engines; must be called in the loop of the test.

        Returns:
            What was found.
        """
        sandbox, self._sandbox = self._sandbox, None
        assert sandbox is not None
        try:
            end = await sandbox.stop()
            if end.escape is not None:
                await self._template.rebuild_worker()
                self._kept.renew()
        finally:
            self._time.clock = None
            self._block()
        return end

    async def leave_loop(self) -> None:
        """Close the connections of the running loop, which is wider than a test and ends."""
        await self._kept.close()

    async def close(self) -> None:
        """Drop the databases of the run, and give the engines back as they were found."""
        self._unblock()
        self._time.remove()
        await self._template.close()
        if not self._settings.engine_specs:
            await self.engines[0].dispose()

    def _block(self) -> None:
        for engine in self.engines:
            block(engine)

    def _unblock(self) -> None:
        for engine in self.engines:
            unblock(engine)
