"""The database sandbox: the application's own engines, and every commit of a test undone.

Importing this imports no SQLAlchemy: each name is looked up in its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_uno.core.errors import (
    SandboxConflict,
    SandboxError,
    SandboxEscapeError,
    SandboxWarning,
    TooManyQueriesError,
)
from pytest_uno.lazy_names import names_of

if TYPE_CHECKING:
    from pytest_uno.database.records import SandboxEnd, Statement, TransactionRecord
    from pytest_uno.database.sandbox.pool import BlockedPool, block, unblock
    from pytest_uno.database.sandbox.rollback import RollbackSandbox
    from pytest_uno.database.uno_database import UnoDatabase

__all__ = [
    "BlockedPool",
    "RollbackSandbox",
    "SandboxConflict",
    "SandboxEnd",
    "SandboxError",
    "SandboxEscapeError",
    "SandboxWarning",
    "Statement",
    "TooManyQueriesError",
    "TransactionRecord",
    "UnoDatabase",
    "block",
    "unblock",
]

_HOMES = {
    "BlockedPool": "sandbox.pool",
    "RollbackSandbox": "sandbox.rollback",
    "SandboxEnd": "records",
    "Statement": "records",
    "TransactionRecord": "records",
    "UnoDatabase": "uno_database",
    "block": "sandbox.pool",
    "unblock": "sandbox.pool",
}

__getattr__, __dir__ = names_of(__name__, _HOMES)
