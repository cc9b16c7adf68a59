"""The virtual clock: an event loop whose time is virtual, and the picture of who waits for whom.

Importing this imports nothing: each name is looked up in its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_uno.clock.budgets import Budgets
    from pytest_uno.clock.future_kinds import register_external_package
    from pytest_uno.clock.virtual_clock import VirtualClock
    from pytest_uno.clock.virtual_loop import VirtualEventLoop

__all__ = ["Budgets", "VirtualClock", "VirtualEventLoop", "register_external_package"]

_HOMES = {
    "Budgets": "budgets",
    "VirtualClock": "virtual_clock",
    "VirtualEventLoop": "virtual_loop",
    "register_external_package": "future_kinds",
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
