"""The database sandbox: the application's own engines, and every commit of a test undone.

Importing this imports no SQLAlchemy: each name is looked up in its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pytest_uno.core.errors import (
    SandboxConflict,
    SandboxError,
    SandboxEscapeError,
    SandboxWarning,
    TooManyQueriesError,
)

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


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
