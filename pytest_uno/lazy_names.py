"""Names of a package whose modules are imported when the name is first used (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["names_of"]


def names_of(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the `__getattr__` and the `__dir__` of a package.

    Args:
        package: its full name.
        homes: the module of each name, relative to the package.

    Returns:
        Both functions. The first raises AttributeError for any other name, with what Python needs to suggest one.

    Example:
        >>> _, names = names_of("email", {"Message": "message"})
        >>> "Message" in names()
        True
    """

    def find(name: str) -> Any:
        module = sys.modules[package]
        if (home := homes.get(name)) is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)
        value = getattr(importlib.import_module(f"{package}.{home}"), name)
        setattr(module, name, value)
        return value

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return find, list_names
