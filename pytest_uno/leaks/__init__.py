"""Leak detectors, and what a test sees of them.

Importing this imports none of its modules: each name is looked up in its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_uno.lazy_names import names_of

if TYPE_CHECKING:
    from pytest_uno.leaks.leak_watch import LeakWatch
    from pytest_uno.leaks.model import Finding, Frame, OwnerInfo

__all__ = ["Finding", "Frame", "LeakWatch", "OwnerInfo"]

_HOMES = {"Finding": "model", "Frame": "model", "LeakWatch": "leak_watch", "OwnerInfo": "model"}

__getattr__, __dir__ = names_of(__name__, _HOMES)
