"""What the fixture `uno_db` hands out: the database of one test, and what the test did in it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_uno.core.errors import SandboxError, compose_message
from pytest_uno.database.query_limits import check_query_count, describe_queries
from pytest_uno.database.records import Statement, TransactionRecord

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

    from pytest_uno.database.sandbox.observing import ObservingSandbox

__all__ = ["UnoDatabase"]


class UnoDatabase:
    """The database of one test: the application's own engine, and what the test has done with it.

    Args:
        engines: the application's engines.
        mode: `rollback` or `snapshot`.
        sandbox: what the test runs in.
        session_factory: makes sessions of the first engine.

    Attributes:
        engines: all of the application's engines that lead to the sandbox.
        mode: how the test is kept apart: `rollback` or `snapshot`.
        session_factory: an `async_sessionmaker` whose sessions are in the sandbox.
    """

    def __init__(
        self,
        engines: Sequence[AsyncEngine],
        mode: str,
        sandbox: ObservingSandbox,
        session_factory: async_sessionmaker[AsyncSession],
    ) -> None:
        self.engines = tuple(engines)
        self.mode = mode
        self.session_factory = session_factory
        self._sandbox = sandbox

    def continue_as(self, other: UnoDatabase) -> None:
        """Go on in the sandbox of another one, for a test that was taken out of its own for a while.

        Args:
            other: the database that the test has from now on.
        """
        self._sandbox = other._sandbox

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.engine.url!r} mode={self.mode!r}>"

    @property
    def engine(self) -> AsyncEngine:
        """The application's engine, the first one where there are several."""
        return self.engines[0]

    @property
    def transactions(self) -> tuple[TransactionRecord, ...]:
        """Every transaction that has ended so far, in order."""
        return tuple(self._sandbox.transactions)

    @property
    def commits(self) -> tuple[TransactionRecord, ...]:
        """The transactions that wrote something and were committed, in order."""
        return tuple(self._sandbox.commits)

    @property
    def discarded(self) -> tuple[TransactionRecord, ...]:
        """The transactions that wrote something of which nothing stayed: a forgotten commit is among them."""
        return tuple(self._sandbox.discarded)

    @property
    def queries(self) -> tuple[Statement, ...]:
        """Every statement that was sent so far, in order; without those that begin and end transactions."""
        return tuple(self._sandbox.queries)

    def describe_queries(self) -> str:
        """Return the statements as text: grouped, the most frequent first, each with the lines that issued it."""
        return describe_queries(self.queries)

    @contextmanager
    def max_queries(self, limit: int) -> Generator[None]:
        """Fail the test if a block sends more statements than it may.

        Counts what every task sends while the block runs. A block that raises is not counted.

        Args:
            limit: how many statements may be sent.

        Raises:
            TooManyQueriesError: there were more; it shows them, repeated ones first, with the lines that issued them.
            SandboxError: the limit is no number of at least 0.

        Example:
            @pytest.mark.uno_async
            async def test_orders_load_at_once(uno_db, shop):
                with uno_db.max_queries(2):
                    await shop.list_orders()
        """
        __tracebackhide__ = True
        _check_limit(limit)
        before = len(self.queries)
        yield
        check_query_count(self.queries[before:], limit, "the block")


def _check_limit(limit: Any) -> None:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise SandboxError(
            compose_message(
                f"max_queries({limit!r}): not a number of statements",
                fix="give a whole number of at least 0",
                anchor="too-many-queries",
            )
        )
