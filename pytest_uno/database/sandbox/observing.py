"""What every sandbox tells of itself: the statements and transactions of its test."""

from __future__ import annotations

from collections.abc import Callable

from pytest_uno.database.records import Statement, TransactionRecord
from pytest_uno.database.sandbox.journal import Journal

__all__ = ["ObservingSandbox"]


class ObservingSandbox:
    """The observing half of a sandbox.

    Args:
        journal: where everything is noted.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def transactions(self) -> tuple[TransactionRecord, ...]:
        """The transactions that have ended, in this order."""
        return self._journal.transactions()

    @property
    def commits(self) -> tuple[TransactionRecord, ...]:
        """The committed transactions that have written something."""
        return tuple(one for one in self.transactions if one.outcome == "commit" and one.writes)

    @property
    def discarded(self) -> tuple[TransactionRecord, ...]:
        """The transactions that have written something and were not committed."""
        return tuple(one for one in self.transactions if one.outcome != "commit" and one.writes)

    @property
    def queries(self) -> tuple[Statement, ...]:
        """The statements, without those that control transactions."""
        return self._journal.queries()

    @property
    def on_statement(self) -> Callable[[Statement], None] | None:
        """Called with each statement before it is sent; what it raises is raised where the statement was issued."""
        return self._journal.on_statement

    @on_statement.setter
    def on_statement(self, callback: Callable[[Statement], None] | None) -> None:
        self._journal.on_statement = callback
