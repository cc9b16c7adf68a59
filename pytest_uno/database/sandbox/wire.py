"""The way of each statement to the one real connection, and the savepoints that stand for transactions.

Must be used in greenlets of SQLAlchemy; only what is asynchronous here is not.

A checkout gets a savepoint with its first statement that needs one. Its commit releases that, its rollback goes back to
it. Savepoints form a stack, so only the innermost transaction may be used; one that has only read loses its savepoint
when another one comes along, and gets a new one when it is used again, with those that the application has set in it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy.util import await_only

from pytest_uno.core.errors import SandboxEscapeError
from pytest_uno.core.uninterrupted import await_uninterrupted
from pytest_uno.database.callers import calling_task
from pytest_uno.database.dialects.base import escape_error
from pytest_uno.database.records import Outcome, shorten
from pytest_uno.database.sandbox.admission import Admission
from pytest_uno.database.sandbox.checkout import Checkout, SentStatement
from pytest_uno.database.sandbox.limits import ddl_error, late_error, two_phase_error, warn_of_limit
from pytest_uno.database.sandbox.savepoints import follow_savepoint, give_way, keep_savepoint
from pytest_uno.database.statements import ParsedStatement, StatementKind, parse_statement

if TYPE_CHECKING:
    from pytest_uno.database.dialects.base import SandboxDialect
    from pytest_uno.database.sandbox.journal import Journal

__all__ = ["Wire"]


_WAITS = "it waits in the sandbox, where nobody can tell which rows another transaction has locked"


class Wire:
    """The real connection of one sandbox, and everything that goes over it.

    Args:
        dialect: what this kind of database does differently.
        admission: who may use it.
        journal: where statements and transactions are noted.

    Attributes:
        real: SQLAlchemy's adapter of the real connection, once it is open.
        is_closed: the test has ended.
        escape: set once somebody is seen to have ended the outer transaction.
        has_named_levels: the driver's level for autocommit is a name, not None.
    """

    def __init__(self, dialect: SandboxDialect, admission: Admission, journal: Journal) -> None:
        self.real: Any = None
        self.is_closed = False
        self.escape: SandboxEscapeError | None = None
        self.has_named_levels = dialect.has_named_levels
        self._orphans: list[Checkout] = []
        self._dialect = dialect
        self._admission = admission
        self._journal = journal
        self._names = itertools.count(1)
        self._real_settings: dict[str, str] = {}

    # -- statements
    def run(self, checkout: Checkout, cursor: Any, method: str, sql: Any, arguments: tuple[Any, ...]) -> Any:
        """Run one statement.

        Args:
            checkout: who sends it.
            cursor: the cursor of SQLAlchemy's adapter; None if the test had ended before.
            method: its method.
            sql: the statement; not always a string.
            arguments: the further arguments of the method.

        Raises:
            SandboxConflict: another transaction is in the way.
            SandboxError: the test has ended, or the statement cannot be undone.
        """
        text = sql if isinstance(sql, str) else str(sql)
        statement = parse_statement(text)
        if self.is_closed:
            raise late_error(text)
        if not statement.is_plain and self._run_special(checkout, statement, text):
            return None
        self._enter(checkout, statement, text)
        try:
            mark = self._mark_writes(checkout, statement, text)
            result = getattr(cursor, method)(sql, *arguments)
        except BaseException:
            checkout.has_failed = True
            checkout.writes -= statement.writes
            checkout.unread_settings.clear()
            raise
        else:
            if mark is not None and self._dialect.has_written(self.real, mark):
                checkout.is_exclusive = True
                checkout.writes += 1
            if checkout.unread_settings:
                self._dialect.read_settings(self.real, checkout)
            if statement.savepoint is not None:
                follow_savepoint(checkout, statement)
        finally:
            checkout.is_busy = False
            self._admission.leave()
            if checkout.is_autocommit and not checkout.in_block and statement.is_query:
                self.finish(checkout, "rollback" if checkout.has_failed else "commit")
        return result

    def _mark_writes(self, checkout: Checkout, statement: ParsedStatement, text: str) -> int | None:
        if statement.kind is not StatementKind.READ or checkout.has_failed:
            return None
        return self._dialect.mark_writes(self.real, text)

    def fetch(
        self, checkout: Checkout, call: Callable[..., Any], *arguments: Any, closes: bool = False
    ) -> Any:
        """Fetch rows of a cursor that lives in the database, or close it.

        It was there before the transaction that another connection of this task may have begun meanwhile, so that one
        is not in the way.

        Args:
            checkout: whose cursor it is.
            call: the method of the driver's cursor.
            arguments: its arguments.
            closes: whether it reads nothing, so that nobody is in the way.
        """
        if self.is_closed:
            raise late_error(checkout.last_sql)
        holder = self._admission.holder()
        closes = closes or (holder is not None and holder.task is calling_task())
        self._take_wire(checkout, ends=closes)
        try:
            return call(*arguments)
        finally:
            checkout.is_busy = False
            self._admission.leave()

    def _enter(self, checkout: Checkout, statement: ParsedStatement, text: str) -> None:
        site = self._journal.frames.capture()
        checkout.last_sql, checkout.last_site = text, site
        self._take_wire(checkout, waits_not=statement.waits_not)
        try:
            if self._needs_preparation(checkout, statement):
                await_only(self._prepare(checkout, statement))
            if not statement.is_exclusive:
                self._dialect.note(self.real, checkout, text)
            if statement.is_query:
                self._journal.note_statement(
                    checkout,
                    SentStatement(text, statement.kind.value, site, checkout.task_name, checkout.number),
                )
        except BaseException:
            checkout.is_busy = False
            self._admission.leave()
            raise
        if statement.is_exclusive:
            checkout.is_exclusive = True
            if statement.writes:
                checkout.writes += 1
                checkout.tables.update(dict.fromkeys(statement.tables))
                if statement.kind is StatementKind.DDL:
                    self._dialect.note_schema()

    def _needs_preparation(self, checkout: Checkout, statement: ParsedStatement) -> bool:
        if checkout.savepoint is None and self._needs_savepoint(statement):
            return True
        stack = self._admission.stack
        return bool((stack and stack[-1] is not checkout) or self._real_settings or checkout.settings)

    def _needs_savepoint(self, statement: ParsedStatement) -> bool:
        return statement.is_exclusive or statement.savepoint is not None or self._dialect.reads_need_savepoint

    def _take_wire(self, checkout: Checkout, *, ends: bool = False, waits_not: bool = False) -> None:
        task = calling_task()
        if checkout.is_busy:
            self._admission.refuse_second_task(checkout, task)
        checkout.is_busy = True
        try:
            if not self._admission.try_enter(checkout, task, ends=ends):
                if waits_not:
                    warn_of_limit(f"{shorten(checkout.last_sql)}: {_WAITS}")
                await_only(self._admission.wait_turn(checkout, task, ends=ends))
        except BaseException:
            checkout.is_busy = False
            raise
        if task is not checkout.task or not checkout.task_name:
            checkout.task = task
            checkout.task_name = "" if task is None else task.get_name()

    async def _prepare(self, checkout: Checkout, statement: ParsedStatement) -> None:
        """Give a checkout that has the wire the innermost savepoint, if it needs one."""
        statements = list(self._dialect.switch(self._real_settings, checkout))
        stack = self._admission.stack
        while stack and stack[-1] is not checkout and not stack[-1].is_exclusive:
            statements += give_way(stack.pop())
        if checkout.savepoint is None and self._needs_savepoint(statement):
            checkout.savepoint = f"uno_{next(self._names)}"
            stack.append(checkout)
            names = [checkout.savepoint, *(name for name, _ in checkout.savepoints)]
            statements += [f"SAVEPOINT {self._dialect.quote(name)}" for name in names]
            statements += self._dialect.resume(checkout)
        if statements:
            await self._control(*statements)
        self.note_orphans()

    def _run_special(self, checkout: Checkout, statement: ParsedStatement, text: str) -> bool:
        """Do what is not simply sent; False if it is to be sent after all."""
        kind = statement.kind
        if kind in (StatementKind.COMMIT, StatementKind.ROLLBACK):
            await_only(asyncio.sleep(0))  # SQLAlchemy insists that something is awaited
            self.finish(checkout, "commit" if kind is StatementKind.COMMIT else "rollback")
            return True
        if kind is StatementKind.BEGIN:
            await_only(asyncio.sleep(0))
            checkout.in_block = True
            return True
        if kind is StatementKind.BEGIN_WRITE:
            await_only(asyncio.sleep(0))
            self._enter(checkout, statement, text)
            checkout.in_block = True
            checkout.is_busy = False
            self._admission.leave()
            return True
        if kind is StatementKind.TWO_PHASE:
            raise two_phase_error(text)
        if kind is StatementKind.DDL and self._dialect.ddl_commits:
            raise ddl_error(text)
        if kind is StatementKind.ISOLATION:
            warn_of_limit(
                f"{shorten(text)}: the sandbox has one connection, on which levels make no difference"
            )
            await_only(asyncio.sleep(0))
            return True
        if statement.limit is not None:
            warn_of_limit(f"{shorten(text)}: {statement.limit}")
        if statement.savepoint is not None and checkout.savepoint is None:
            return keep_savepoint(checkout, statement)
        return False

    # -- the end of a transaction
    def finish(self, checkout: Checkout, outcome: Outcome) -> None:
        """End the transaction of a checkout; does nothing if it has none.

        Args:
            checkout: whose.
            outcome: "commit", "rollback" or "terminate".

        Raises:
            SandboxConflict: a transaction that is nested in it has uncommitted writes.
            Exception: the driver's error for a constraint that does not hold at a commit.
        """
        if self.is_closed:
            return
        try:
            if checkout.savepoint is not None:
                self._take_wire(checkout, ends=True)
                try:
                    if checkout in self._admission.stack:  # it has not given way meanwhile
                        outcome = self._finish_on_wire(checkout, outcome)
                finally:
                    checkout.is_busy = False
                    self._admission.leave()
        except BaseException:
            if checkout.savepoint is None:
                self._journal.note_end(checkout, "failed" if outcome == "commit" else outcome)
            raise
        self._journal.note_end(checkout, outcome)

    def _finish_on_wire(self, checkout: Checkout, outcome: Outcome) -> Outcome:
        holder = self._admission.holder()
        stack = self._admission.stack
        if holder is not None and stack.index(holder) > stack.index(checkout):
            self._admission.refuse_outer(checkout, holder)
        if outcome == "commit" and checkout.writes:
            try:
                self._dialect.check_constraints(self.real, checkout)
            except BaseException as error:
                await_only(self._end_savepoint(checkout, "rollback"))
                if self._dialect.is_spoiled(error):
                    return "rollback"
                raise
        return await_only(self._end_savepoint(checkout, outcome))

    def abandon(self, checkout: Checkout) -> None:
        """Take note that nobody can end a transaction any more; needs no greenlet.

        Args:
            checkout: whose it was; once only.
        """
        if not self.is_closed:
            self._orphans.append(checkout)
            checkout.is_exclusive = False  # it gives way to the next one, and
            checkout.has_failed = True  # then it is rolled back
            self._admission.pass_on()

    def note_orphans(self) -> None:
        """Take note of the end of the transactions that nobody could end, as far as they are rolled back."""
        for checkout in self._orphans[:]:
            if checkout.savepoint is None or self.is_closed:
                self._orphans.remove(checkout)
                self._journal.note_end(checkout, "terminate")

    def end(self) -> None:
        """End the outer transaction.

        Raises:
            SandboxEscapeError: somebody else has ended it.
        """
        statements = self._dialect.switch(self._real_settings, None)
        if statements:
            await_only(self._dialect.control(self.real, *statements))
        self._dialect.end(self.real)

    async def _end_savepoint(self, checkout: Checkout, outcome: Outcome) -> Outcome:
        stack = self._admission.stack
        statements = list(self._dialect.switch(self._real_settings, checkout))
        while (top := stack.pop()) is not checkout:
            statements += give_way(top)
        name, checkout.savepoint = checkout.savepoint, None
        release, back = f"RELEASE SAVEPOINT {name}", f"ROLLBACK TO SAVEPOINT {name}"
        if outcome != "commit":
            await self._control(*statements, back, release)
            return outcome
        try:
            await self._control(*statements, release, *self._dialect.after_commit(checkout))
        except Exception as error:
            if not self._dialect.is_spoiled(error):
                raise
            # As the database itself: COMMIT of a transaction in which something has failed is a ROLLBACK.
            await self._control(back, release)
            return "rollback"
        return "commit"

    async def _control(self, *statements: str) -> None:
        try:
            await await_uninterrupted(self._dialect.control(self.real, *statements))
        except Exception as error:
            if not self._dialect.lost_savepoint(error):
                raise
            self._admission.stack.clear()
            self.escape = escape_error(error)
            raise self.escape from error
