"""pytest-uno: the async-testing harness.

Importing this imports neither pytest nor SQLAlchemy; the names are looked up in `pytest_uno.core` when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_uno.lazy_names import names_of

if TYPE_CHECKING:
    from pytest_uno._version import __version__
    from pytest_uno.core import (
        AsyncManager,
        AsyncResource,
        BackoffStrategy,
        ClockError,
        ClockLimitError,
        ClockStallError,
        ClockTimeoutError,
        DeadlockError,
        ManagerClosedError,
        ReadOnlyTransactionError,
        ResourceError,
        TaskGroup,
        TaskLeakError,
        TransactionContext,
        UnoError,
        UnoLeakWarning,
        as_task,
        create_read_transaction_manager,
        create_transaction_manager,
        create_write_transaction_manager,
        get_async_manager,
        readonly_transaction,
        retry,
        run_application,
        timeout,
        transaction,
        transaction_manager,
        use_manager,
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
    "__version__",
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

__getattr__, __dir__ = names_of(__name__, dict.fromkeys(__all__, "core") | {"__version__": "_version"})
