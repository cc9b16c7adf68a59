"""Exploration: one scenario, run in many schedules that asyncio allows, with cancellations and with faults.

Importing this imports none of its modules: each name is looked up in its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_uno.lazy_names import names_of

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

__getattr__, __dir__ = names_of(__name__, _HOMES)
