"""What a sandbox has seen: each statement, and each transaction with how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_uno.database.records import Outcome, Statement, TransactionRecord

if TYPE_CHECKING:
    from pytest_uno.database.sandbox.checkout import Checkout, SentStatement
    from pytest_uno.database.user_frames import Site, UserFrames

__all__ = ["Journal"]


class _Ended:
    """A transaction that has ended: what a `TransactionRecord` is made of when somebody asks for it."""

    __slots__ = ("connection", "outcome", "site", "statements", "tables", "task", "writes")

    def __init__(self, checkout: Checkout, outcome: Outcome) -> None:
        self.outcome: Outcome = outcome
        self.writes = checkout.writes
        self.statements = checkout.statements
        self.tables = tuple(checkout.tables)
        self.task = checkout.task_name
        self.site: Site = checkout.site
        self.connection = checkout.number


class Journal:
    """Notes what happens, cheaply, and tells it in full when asked.

    Args:
        frames: knows the user's lines.

    Attributes:
        frames: the same.
        on_statement: called with each statement before it is sent; may raise.
    """

    def __init__(self, frames: UserFrames) -> None:
        self.frames = frames
        self.on_statement: Callable[[Statement], None] | None = None
        self._sent: list[SentStatement] = []
        self._ended: list[_Ended] = []
        self._queries: list[Statement] = []
        self._transactions: list[TransactionRecord] = []

    def note_statement(self, checkout: Checkout, sent: SentStatement) -> None:
        """Note a statement that is about to be sent.

        Args:
            checkout: who sends it.
            sent: the statement.
        """
        self._sent.append(sent)
        checkout.statements.append(sent)
        if self.on_statement is not None:
            self.on_statement(self._statement(sent))

    def note_end(self, checkout: Checkout, outcome: Outcome) -> None:
        """Note the end of a transaction, unless it had no statement; its checkout begins anew.

        Args:
            checkout: whose transaction it was.
            outcome: how it ended.
        """
        if checkout.statements:
            self._ended.append(_Ended(checkout, outcome))
        checkout.reset()

    def queries(self) -> tuple[Statement, ...]:
        """Return the statements so far."""
        for sent in self._sent[len(self._queries) :]:
            self._queries.append(self._statement(sent))
        return tuple(self._queries)

    def transactions(self) -> tuple[TransactionRecord, ...]:
        """Return the transactions that have ended so far."""
        for ended in self._ended[len(self._transactions) :]:
            self._transactions.append(
                TransactionRecord(
                    ended.outcome,
                    ended.writes,
                    tuple(self._statement(sent) for sent in ended.statements),
                    ended.tables,
                    ended.task,
                    self.frames.resolve(ended.site),
                    ended.connection,
                )
            )
        return tuple(self._transactions)

    def _statement(self, sent: SentStatement) -> Statement:
        return Statement(sent.sql, sent.kind, self.frames.resolve(sent.site), sent.task, sent.connection)
