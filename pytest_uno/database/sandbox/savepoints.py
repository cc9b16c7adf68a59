"""The savepoints that the application has set, in transactions that may lose and regain their own."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from sqlalchemy.util import await_only

from pytest_uno.database.statements import ParsedStatement, StatementKind

if TYPE_CHECKING:
    from pytest_uno.database.sandbox.checkout import Checkout

__all__ = ["follow_savepoint", "give_way", "keep_savepoint"]


def give_way(checkout: Checkout) -> list[str]:
    """Return the statements that take its own savepoint from a transaction that has only read.

    Args:
        checkout: whose it is.
    """
    name, checkout.savepoint = checkout.savepoint, None
    # Settings that end with the transaction must not be the next one's; they come back with the new savepoint.
    back = [f"ROLLBACK TO SAVEPOINT {name}"] if checkout.has_failed or checkout.local_values else []
    checkout.has_failed = False
    return [*back, f"RELEASE SAVEPOINT {name}"]


def keep_savepoint(checkout: Checkout, statement: ParsedStatement) -> bool:
    """Take note of a savepoint in a transaction that has none itself, so far.

    Args:
        checkout: whose it is.
        statement: what is to be done.

    Returns:
        Whether that was possible; else the database has to say what is wrong.
    """
    if statement.kind is not StatementKind.SAVEPOINT and statement.savepoint not in dict(checkout.savepoints):
        return False
    await_only(asyncio.sleep(0))
    follow_savepoint(checkout, statement)
    return True


def follow_savepoint(checkout: Checkout, statement: ParsedStatement) -> None:
    """Take note of a savepoint that was set, released or gone back to.

    Args:
        checkout: whose it is.
        statement: what was done.
    """
    name = statement.savepoint
    assert name is not None
    if statement.kind is StatementKind.SAVEPOINT:
        checkout.savepoints.append((name, checkout.writes))
        return
    names = [one for one, _ in checkout.savepoints]
    with contextlib.suppress(ValueError):
        at = len(names) - 1 - names[::-1].index(name)
        if statement.kind is StatementKind.ROLLBACK_TO:
            checkout.writes = checkout.savepoints[at][1]
        del checkout.savepoints[at + (statement.kind is StatementKind.ROLLBACK_TO) :]
    if statement.kind is StatementKind.ROLLBACK_TO:
        checkout.has_failed = False
