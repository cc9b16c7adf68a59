"""Asking in the midst of a test what somebody has left: for who runs parts of a test as owners of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeAlias

from pytest_uno.leaks.judging import Suspect
from pytest_uno.leaks.model import Finding
from pytest_uno.leaks.owners import Owner

__all__ = ["FAILS", "LEFT_BY", "LeftBy"]

LeftBy: TypeAlias = Callable[[Owner, asyncio.AbstractEventLoop], list[Suspect]]
"""Returns what an owner has left until now, tasks aside; the loop may be running. What it returns stays watched."""

LEFT_BY: ContextVar[LeftBy | None] = ContextVar("pytest_uno_left_by", default=None)
"""The detection that watches the test whose code runs; None where there is none."""

FAILS: ContextVar[Callable[[Finding], bool]] = ContextVar("pytest_uno_fails", default=lambda _: True)
"""Says whether a finding fails the test whose code runs: it may be off, a warning only, or allowed."""
