"""The virtual clock: an event loop whose time is virtual, and the picture of who waits for whom.

Importing this imports none of its modules: each name is looked up in its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_uno.lazy_names import names_of

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

__getattr__, __dir__ = names_of(__name__, _HOMES)
