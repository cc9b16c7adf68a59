"""Exploration: one scenario, run in many schedules that asyncio allows, with cancellations and with faults.

Importing this imports nothing: each name is looked up in its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_uno.explore.injection.cancellation import assert_cancel_safe
    from pytest_uno.explore.injection.failure import InjectionError, InjectionFailure
    from pytest_uno.explore.injection.faults import assert_fault_safe
    from pytest_uno.explore.report import ExplorationReport
    from pytest_uno.explore.search import explore, replay
    from pytest_uno.explore.tokens import BadTokenError

__all__ = [
    "BadTokenError",
    "ExplorationReport",
    "InjectionError",
    "InjectionFailure",
    "assert_cancel_safe",
    "assert_fault_safe",
    "explore",
    "replay",
]

_HOMES = {
    "BadTokenError": "tokens",
    "ExplorationReport": "report",
    "InjectionError": "injection.failure",
    "InjectionFailure": "injection.failure",
    "assert_cancel_safe": "injection.cancellation",
    "assert_fault_safe": "injection.faults",
    "explore": "search",
    "replay": "search",
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
