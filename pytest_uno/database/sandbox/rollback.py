"""The rollback sandbox: every commit of a test is undone when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import Pool, StaticPool
from sqlalchemy.util import await_only, greenlet_spawn

from pytest_uno.core.errors import SandboxError, SandboxEscapeError, compose_message
from pytest_uno.core.uninterrupted import await_uninterrupted
from pytest_uno.database.callers import follow_callers, forget_callers
from pytest_uno.database.dialects.base import failed_end_error
from pytest_uno.database.dialects.choice import choose_dialect
from pytest_uno.database.own_work import own_work
from pytest_uno.database.records import SandboxEnd
from pytest_uno.database.sandbox.admission import Admission
from pytest_uno.database.sandbox.checkout import Checkout
from pytest_uno.database.sandbox.facade import MySQLSandboxConnection, SandboxConnection
from pytest_uno.database.sandbox.journal import Journal
from pytest_uno.database.sandbox.limits import late_error, loop_error
from pytest_uno.database.sandbox.observing import ObservingSandbox
from pytest_uno.database.sandbox.pool import BlockedPool, SandboxPool
from pytest_uno.database.sandbox.wire import Wire
from pytest_uno.database.sqlalchemy_internals import begins_in_autocommit
from pytest_uno.database.user_frames import UserFrames

__all__ = ["RollbackSandbox"]


class RollbackSandbox(ObservingSandbox):
    """One connection and one outer transaction for everything that engines do in a test.

    Must be started, used and stopped in one event loop.

    Args:
        engines: the engines that share it.
        conflict: whether a second connection in a task that has uncommitted writes is refused or nested.
        wait: real seconds that a task waits for another one's transaction, at most.
        reset_sequences: whether sequences begin anew in each test, where the database has any.
        keep_connection: whether the connection may stay open for the next test although its driver is bound to an event
            loop: the next test runs on the same one.
        source: the pool that opens the connection; that of the first engine if None.
        root: the folder that the user's files are named relative to; the current one if None.

    Raises:
        SandboxError: there is no engine, one is not asynchronous, or they are of different kinds.
    """

    mode: Literal["rollback"] = "rollback"

    def __init__(
        self,
        engines: Sequence[AsyncEngine],
        *,
        conflict: Literal["error", "join"] = "error",
        wait: float = 2.0,
        reset_sequences: bool = False,
        keep_connection: bool = False,
        source: Pool | None = None,
        root: Path | None = None,
    ) -> None:
        _check_engines(engines)
        self._engines = tuple(engines)
        self._reset_sequences = reset_sequences
        self._keep_connection = keep_connection
        self._dialect = choose_dialect(engines[0].dialect)
        super().__init__(Journal(UserFrames(root)))
        self._admission = Admission(conflict, wait, self._journal.frames)
        self._wire = Wire(self._dialect, self._admission, self._journal)
        self._starts_autocommit = begins_in_autocommit(engines[0].dialect)
        self._facade = (
            MySQLSandboxConnection if engines[0].dialect.name in ("mysql", "mariadb") else SandboxConnection
        )
        self._replaced: list[tuple[AsyncEngine, Pool]] = []
        self._out: dict[int, Checkout] = {}
        self._count = 0
        self._opening: asyncio.Lock | None = None
        self._source = source
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fairy: Any = None

    @property
    def is_open(self) -> bool:
        """The test has used the database."""
        return self._fairy is not None

    # -- begin and end
    def start(self) -> None:
        """Put the sandbox in the place of the engines' pools; no connection is opened.

        Raises:
            SandboxError: an engine is in another sandbox.
        """
        for engine in self._engines:
            pool = engine.sync_engine.pool
            if isinstance(pool, SandboxPool):
                self._put_back()
                raise SandboxError(
                    compose_message(
                        f"the engine {engine.url!r} is in a sandbox already",
                        fix="stop the other sandbox first; give each engine to one sandbox, once",
                        anchor="sandbox-twice",
                    )
                )
            own = pool.replaced if isinstance(pool, BlockedPool) else pool
            if self._source is None:
                self._source = own
            engine.sync_engine.pool = SandboxPool(own, self._check_out, self._check_in)
            self._replaced.append((engine, pool))
        follow_callers(self._journal.frames.capture)

    async def stop(self) -> SandboxEnd:
        """Undo everything and give the engines their pools back, whatever happens.

        Returns:
            What was found.
        """
        self._wire.is_closed = True
        self._wire.note_orphans()
        self._admission.refuse_all(late_error("a statement that waited for its turn"))
        try:
            await self._admission.until_free()
        finally:
            self._put_back()
            forget_callers(self._journal.frames.capture)
        escape = None
        if self._fairy is not None:
            escape = await await_uninterrupted(greenlet_spawn(self._close))
        return SandboxEnd(escape)

    def _put_back(self) -> None:
        for engine, pool in self._replaced:
            engine.sync_engine.pool = pool
        self._replaced.clear()

    # -- in greenlets
    def _check_out(self) -> SandboxConnection:
        if self._wire.is_closed:
            raise late_error("a new connection")
        if self._fairy is None:
            self._open()
        if self._dialect.is_loop_bound and asyncio.get_running_loop() is not self._loop:
            raise loop_error()
        self._count += 1
        checkout = Checkout(
            self._count, self._journal.frames.capture(), is_autocommit=self._starts_autocommit
        )
        self._out[self._count] = checkout
        return self._facade(self._wire, checkout)

    def _check_in(self, record: Any) -> None:
        number = next(number for number, checkout in self._out.items() if checkout.record is record)
        checkout = self._out.pop(number)
        if record.dbapi_connection is None and not checkout.is_closed:
            self._wire.abandon(checkout)  # taken from the entry, as the garbage collector does
        checkout.is_closed = True

    def _open(self) -> None:
        if self._opening is None:
            self._opening = asyncio.Lock()
        await_only(self._opening.acquire())
        try:
            if self._fairy is None:
                # A driver that is cancelled while it begins a transaction may not know that it has begun.
                await_only(await_uninterrupted(greenlet_spawn(self._open_uninterrupted)))
        finally:
            self._opening.release()

    def _open_uninterrupted(self) -> None:
        assert self._source is not None
        with own_work():
            fairy = self._source.connect()
        real = fairy.dbapi_connection
        try:
            self._dialect.begin(real, fairy.info)
            if self._reset_sequences:
                self._dialect.reset_sequences(real)
        except BaseException:
            if not isinstance(self._source, StaticPool):
                fairy.invalidate()
            fairy.close()
            raise
        self._loop = asyncio.get_running_loop()
        self._wire.real = real
        self._fairy = fairy

    def _close(self) -> SandboxEscapeError | None:
        fairy, self._fairy = self._fairy, None
        source = self._source
        escape = self._wire.escape
        if self._admission.wire is None:
            try:
                self._wire.end()
            except SandboxEscapeError as error:
                escape = escape or error
            except Exception as error:
                escape = escape or failed_end_error(error)
        elif not isinstance(source, StaticPool):
            fairy.invalidate()  # a statement of the test does not come to an end
        if escape is not None and fairy.is_valid and not isinstance(source, StaticPool):
            fairy.invalidate()
        fairy.close()
        stays = self._keep_connection or self._dialect.survives_loop
        if source is not None and (self._dialect.has_old_plans or not stays):
            source.dispose()
        return escape


def _check_engines(engines: Sequence[AsyncEngine]) -> None:
    if not engines:
        raise SandboxError(
            compose_message(
                "a sandbox needs an engine",
                fix="give at least one AsyncEngine",
                anchor="sandbox-engine",
            )
        )
    for engine in engines:
        if not isinstance(engine, AsyncEngine):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SandboxError(
                compose_message(
                    f"{engine!r} is no AsyncEngine",
                    fix="make it with create_async_engine(); synchronous engines have no sandbox",
                    anchor="sandbox-engine",
                )
            )
        if (
            engine.dialect.name != engines[0].dialect.name
            or engine.dialect.driver != engines[0].dialect.driver
        ):
            raise SandboxError(
                compose_message(
                    f"one sandbox cannot serve engines of different kinds: "
                    f"{engines[0].dialect.name}+{engines[0].dialect.driver} and "
                    f"{engine.dialect.name}+{engine.dialect.driver}",
                    fix="list the engines of one database only, as its primary and its replica",
                    anchor="sandbox-engine",
                )
            )
