"""The primitives that production code uses: managers, task groups, retries, time limits, transactions.

Importing this imports neither pytest nor SQLAlchemy; the names of `transactions` are resolved when first
used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_uno.core.async_manager import (
    AsyncManager,
    as_task,
    get_async_manager,
    run_application,
    use_manager,
)
from pytest_uno.core.errors import (
    ManagerClosedError,
    ReadOnlyTransactionError,
    ResourceError,
    TaskLeakError,
    UnoError,
    UnoLeakWarning,
)
from pytest_uno.core.resources import AsyncResource
from pytest_uno.core.retry import BackoffStrategy, retry
from pytest_uno.core.task_group import TaskGroup
from pytest_uno.core.timeouts import timeout

if TYPE_CHECKING:
    from pytest_uno.core.transactions import (
        TransactionContext,
        create_read_transaction_manager,
        create_transaction_manager,
        create_write_transaction_manager,
        readonly_transaction,
        transaction,
        transaction_manager,
    )

__all__ = [
    "AsyncManager",
    "AsyncResource",
    "BackoffStrategy",
    "ManagerClosedError",
    "ReadOnlyTransactionError",
    "ResourceError",
    "TaskGroup",
    "TaskLeakError",
    "TransactionContext",
    "UnoError",
    "UnoLeakWarning",
    "as_task",
    "create_read_transaction_manager",
    "create_transaction_manager",
    "create_write_transaction_manager",
    "get_async_manager",
    "readonly_transaction",
    "retry",
    "run_application",
    "timeout",
    "transaction",
    "transaction_manager",
    "use_manager",
]


def __getattr__(name: str) -> Any:
    if name in __all__:  # all others are bound above
        from pytest_uno.core import transactions

        value = globals()[name] = getattr(transactions, name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
