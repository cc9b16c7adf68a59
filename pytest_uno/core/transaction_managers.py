"""Opening a session and a transaction together; import it from `pytest_uno.core.transactions`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any

from pytest_uno.core.async_manager import get_async_manager
from pytest_uno.core.closers import call_and_await
from pytest_uno.core.errors import compose_message
from pytest_uno.core.uninterrupted import add_note_once, await_uninterrupted

__all__ = [
    "create_read_transaction_manager",
    "create_transaction_manager",
    "create_write_transaction_manager",
    "refuse_second_entry",
    "transaction_manager",
]


def refuse_second_entry(block: object, is_entered: bool) -> None:
    """Refuse to enter a block again.

    Args:
        block: the block.
        is_entered: it was entered before.

    Raises:
        RuntimeError: it was entered before.
    """
    if is_entered:
        raise RuntimeError(
            compose_message(
                f"{block!r} was entered already",
                cause="one object is used for two blocks, or by two tasks",
                fix="make a new one for each block",
                anchor="transaction-entered-twice",
            )
        )


class transaction_manager:  # noqa: N801 - used like a function, as asyncio.timeout is
    """Run a block with a new session, in one transaction; the session is closed at the end.

    Must be used once.

    Args:
        session_factory: what makes the session, synchronous or not: an `async_sessionmaker`, or any callable
            that returns an object with `commit` and `rollback`, and `close` if it needs that. By default the
            `session_factory` of the current manager, looked up when the block is entered.
        read_only: open a `readonly_transaction` instead of a `transaction`.
        **session_options: handed to the factory.

    Raises:
        RuntimeError: there is no factory, or the block was entered already.
        Exception: what the factory, the block or COMMIT raised; and closing, if nothing else did.

    Example:
        >>> async def place_order(order):
        ...     async with transaction_manager() as session:
        ...         session.add(order)
    """

    def __init__(
        self,
        session_factory: Callable[..., Any] | None = None,
        *,
        read_only: bool = False,
        **session_options: Any,
    ) -> None:
        self._factory = session_factory
        self._read_only = read_only
        self._options = session_options
        self._entered = False
        self._session: Any = None
        self._transaction: Any = None

    def __repr__(self) -> str:
        return f"<transaction_manager of {self._factory!r}{' read-only' if self._read_only else ''}>"

    async def __aenter__(self) -> Any:
        """Open the session and begin.

        Returns:
            The session.
        """
        # transactions.py imports this module, and SQLAlchemy.
        from pytest_uno.core.transactions import readonly_transaction, transaction

        refuse_second_entry(self, self._entered)
        self._entered = True
        factory = self._factory if self._factory is not None else get_async_manager().session_factory
        if factory is None:
            raise RuntimeError(
                compose_message(
                    "transaction_manager() has no session factory",
                    cause="it was given none, and the current manager has none",
                    fix="pass an async_sessionmaker, or set get_async_manager().session_factory",
                    anchor="no-session-factory",
                )
            )
        self._session = await call_and_await(functools.partial(factory, **self._options))
        self._transaction = (readonly_transaction if self._read_only else transaction)(self._session)
        try:
            return await self._transaction.__aenter__()
        except BaseException as exc:
            await self._close(exc)
            raise

    async def __aexit__(
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """End the transaction, and close the session."""
        try:
            await self._transaction.__aexit__(et, exc, tb)
        except BaseException as failure:
            await self._close(failure)
            raise
        await self._close(exc)

    async def _close(self, exc: BaseException | None) -> None:
        close = getattr(self._session, "close", None)
        if close is None:
            return
        try:
            await await_uninterrupted(call_and_await(close))
        except Exception as failure:
            if exc is None:
                raise
            add_note_once(exc, f"closing the session failed as well: {failure!r}")


def create_transaction_manager(
    session_factory: Callable[..., Any], **options: Any
) -> Callable[..., transaction_manager]:
    """Make a callable that opens transactions of one session factory.

    Args:
        session_factory: as for `transaction_manager`.
        **options: handed to the factory each time.

    Returns:
        A callable without required arguments, whose result is used in `async with`; keywords given to it go
        to the factory as well.

    Example:
        >>> async def count_users(sessions):
        ...     open_transaction = create_transaction_manager(sessions)
        ...     async with open_transaction() as session:
        ...         return await session.scalar(select(func.count()).select_from(User))
    """
    return functools.partial(transaction_manager, session_factory, **options)


def create_write_transaction_manager(
    session_factory: Callable[..., Any], **options: Any
) -> Callable[..., transaction_manager]:
    """Make a callable that opens transactions: `create_transaction_manager` by the name of its twin.

    Args:
        session_factory: as for `transaction_manager`.
        **options: handed to the factory each time.

    Returns:
        As `create_transaction_manager`.
    """
    return create_transaction_manager(session_factory, **options)


def create_read_transaction_manager(
    session_factory: Callable[..., Any], **options: Any
) -> Callable[..., transaction_manager]:
    """Make a callable that opens read-only transactions; a write inside is an error.

    Args:
        session_factory: as for `transaction_manager`.
        **options: handed to the factory each time.

    Returns:
        As `create_transaction_manager`.
    """
    return functools.partial(transaction_manager, session_factory, read_only=True, **options)
