from __future__ import annotations

import subprocess
import sys

import pytest

import pytest_uno
import pytest_uno.core

NAMES = {
    "async_manager": ["AsyncManager", "get_async_manager", "use_manager", "as_task", "run_application"],
    "task_group": ["TaskGroup"],
    "resources": ["AsyncResource"],
    "retry": ["retry", "BackoffStrategy"],
    "timeouts": ["timeout"],
    "transactions": [
        "transaction",
        "TransactionContext",
        "readonly_transaction",
        "transaction_manager",
        "create_transaction_manager",
        "create_read_transaction_manager",
        "create_write_transaction_manager",
    ],
    "errors": [
        "UnoError",
        "UnoLeakWarning",
        "ClockError",
        "ClockLimitError",
        "ClockStallError",
        "ClockTimeoutError",
        "DeadlockError",
        "ManagerClosedError",
        "ReadOnlyTransactionError",
        "ResourceError",
        "TaskLeakError",
    ],
}
ALL = {name for names in NAMES.values() for name in names}


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, encoding="utf-8"
    ).stdout


def test_public_names_are_exactly_these() -> None:
    assert set(pytest_uno.core.__all__) == ALL
    assert set(pytest_uno.__all__) == ALL | {"__version__"}
    assert set(pytest_uno.__all__) <= set(dir(pytest_uno))
    assert set(pytest_uno.core.__all__) <= set(dir(pytest_uno.core))


@pytest.mark.parametrize("module", NAMES)
def test_each_name_is_one_object_everywhere(module: str) -> None:
    __import__(f"pytest_uno.core.{module}")
    home = sys.modules[f"pytest_uno.core.{module}"]
    for name in NAMES[module]:
        assert name in home.__all__
        vars(pytest_uno).pop(name, None) if module == "transactions" else None
        vars(pytest_uno.core).pop(name, None) if module == "transactions" else None
        assert getattr(pytest_uno, name) is getattr(pytest_uno.core, name) is getattr(home, name)


@pytest.mark.parametrize("package", [pytest_uno, pytest_uno.core])
def test_other_names_are_unknown(package: object) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        getattr(package, "nonsense")  # noqa: B009 - a type checker would say so, too


def test_a_misspelt_name_gets_pythons_suggestion() -> None:
    code = "import pytest_uno; pytest_uno.AsyncManger"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert "Did you mean: 'AsyncManager'?" in result.stderr


def test_importing_the_package_is_light() -> None:
    heavy = ["pytest", "_pytest", "sqlalchemy", "dataclasses", "random"]
    code = (  # asyncio (from 3.14 on) and coverage have imported some of them already
        "import asyncio, sys; before = set(sys.modules); import pytest_uno;"
        f"print([name for name in {heavy} if name in sys.modules and name not in before])"
    )
    assert run_python(code).strip() == "[]"


def test_transactions_come_when_asked_for() -> None:
    assert "transaction'" in run_python("from pytest_uno import transaction; print(transaction)")
