"""The primitives that production code uses: managers, task groups, retries, time limits, transactions.

Importing this imports neither pytest nor SQLAlchemy, and hardly anything else: each name is looked up in its module
when it is first used, so that the plugin costs little in a project that does not use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

# At once: the module `retry`, imported later, would take the place of the function.
from pytest_uno.core.retry import BackoffStrategy, retry
from pytest_uno.lazy_names import names_of

if TYPE_CHECKING:
    from pytest_uno.core.async_manager import (
        AsyncManager,
        as_task,
        get_async_manager,
        run_application,
        use_manager,
    )
    from pytest_uno.core.errors import (
        ClockError,
        ClockLimitError,
        ClockStallError,
        ClockTimeoutError,
        DeadlockError,
        ManagerClosedError,
        ReadOnlyTransactionError,
        ResourceError,
        TaskLeakError,
        UnoError,
        UnoLeakWarning,
    )
    from pytest_uno.core.resources import AsyncResource
    from pytest_uno.core.task_group import TaskGroup
    from pytest_uno.core.timeouts import timeout
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
    "ClockError",
    "ClockLimitError",
    "ClockStallError",
    "ClockTimeoutError",
    "DeadlockError",
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

_HOMES = {
    "AsyncManager": "async_manager",
    "as_task": "async_manager",
    "get_async_manager": "async_manager",
    "run_application": "async_manager",
    "use_manager": "async_manager",
    "ClockError": "errors",
    "ClockLimitError": "errors",
    "ClockStallError": "errors",
    "ClockTimeoutError": "errors",
    "DeadlockError": "errors",
    "ManagerClosedError": "errors",
    "ReadOnlyTransactionError": "errors",
    "ResourceError": "errors",
    "TaskLeakError": "errors",
    "UnoError": "errors",
    "UnoLeakWarning": "errors",
    "AsyncResource": "resources",
    "TaskGroup": "task_group",
    "timeout": "timeouts",
    "TransactionContext": "transactions",
    "create_read_transaction_manager": "transactions",
    "create_transaction_manager": "transactions",
    "create_write_transaction_manager": "transactions",
    "readonly_transaction": "transactions",
    "transaction": "transactions",
    "transaction_manager": "transactions",
}

__getattr__, __dir__ = names_of(__name__, _HOMES)
