"""The pools that stand in for an engine's own: one for the length of a test, one between tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.pool import Pool

from pytest_uno.core.errors import SandboxError, compose_message
from pytest_uno.database.sqlalchemy_internals import make_record, options_like, resets_with_commit

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry

    from pytest_uno.database.sandbox.facade import SandboxConnection

__all__ = ["BlockedPool", "SandboxPool", "block", "unblock"]


class SandboxPool(Pool):
    """Hands out facades of one connection.

    Args:
        replaced: the pool that it stands in for; its listeners fire for this one.
        check_out: returns a new facade and takes note of the pool's entry; opens the connection when it is the first.
        check_in: told of each entry that comes back.
    """

    def __init__(
        self,
        replaced: Pool,
        check_out: Callable[[], SandboxConnection],
        check_in: Callable[[Any], None],
    ) -> None:
        self._check_out = check_out
        self._check_in = check_in
        self.replaced = replaced
        super().__init__(
            creator=cast("Any", check_out),
            reset_on_return="commit" if resets_with_commit(replaced) else "rollback",
            **options_like(replaced),
        )

    def _do_get(self) -> ConnectionPoolEntry:
        facade = self._check_out()
        record: ConnectionPoolEntry = make_record(self, facade)
        facade._checkout.record = record  # pyright: ignore[reportPrivateUsage]
        return record

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self._check_in(record)

    def status(self) -> str:
        """Return what this is."""
        return "the sandbox of a test"

    def dispose(self) -> None:
        """Do nothing: the application may dispose of its engine, the test goes on."""

    def recreate(self) -> SandboxPool:
        """Return this pool: it is the test's until that ends."""
        return self


class BlockedPool(Pool):
    """Refuses every connection, between tests.

    Args:
        replaced: the pool that it stands in for.
    """

    def __init__(self, replaced: Pool) -> None:
        self.replaced = replaced
        super().__init__(creator=_refuse, **options_like(replaced))

    def _do_get(self) -> ConnectionPoolEntry:
        _refuse()
        raise AssertionError  # pragma: no cover

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        """Take nothing back: nothing was given."""

    def status(self) -> str:
        """Return what this is."""
        return "closed between tests"

    def dispose(self) -> None:
        """Do nothing: there is no connection."""

    def recreate(self) -> BlockedPool:
        """Return this pool."""
        return self


def _refuse() -> Any:
    raise SandboxError(
        compose_message(
            "the database is used outside of a test",
            cause="a fixture of a wider scope, an import, or a background task that has outlived its test",
            fix="use it in the test or in a fixture of function scope; data for all tests belongs in uno_db_seed",
            anchor="sandbox-outside",
        )
    )


def block(engine: AsyncEngine) -> None:
    """Refuse the use of an engine until `unblock`; does nothing if it is refused already.

    Args:
        engine: the engine.
    """
    pool = engine.sync_engine.pool
    if not isinstance(pool, BlockedPool):
        engine.sync_engine.pool = BlockedPool(pool)


def unblock(engine: AsyncEngine) -> None:
    """Give an engine its own pool back; does nothing if it has it.

    Args:
        engine: the engine.
    """
    pool = engine.sync_engine.pool
    if isinstance(pool, BlockedPool):
        engine.sync_engine.pool = pool.replaced
