"""pytest-uno: the async-testing harness.

Importing this imports neither pytest nor SQLAlchemy; the names are looked up in `pytest_uno.core` when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_uno._version import __version__

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    if name in __all__:
        from pytest_uno import core

        value = globals()[name] = getattr(core, name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
