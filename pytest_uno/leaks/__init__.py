"""Leak detectors, and what a test sees of them.

Importing this imports nothing: each name is looked up in its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_uno.leaks.leak_watch import LeakWatch
    from pytest_uno.leaks.model import Finding, Frame, OwnerInfo

__all__ = ["Finding", "Frame", "LeakWatch", "OwnerInfo"]

_HOMES = {"Finding": "model", "Frame": "model", "LeakWatch": "leak_watch", "OwnerInfo": "model"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
