"""The private names of asyncio that the harness touches, each with its reason.

`tests/harness/test_asyncio_internals.py` checks them on every supported Python.
"""

from __future__ import annotations

import asyncio
from asyncio import runners

__all__ = ["cancel_all_tasks", "needs_asyncgen_shutdown", "needs_executor_shutdown"]


def cancel_all_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel every task of a loop and wait for their end, as `asyncio.run` does (3.11 to 3.15)."""
    runners._cancel_all_tasks(loop)  # type: ignore[attr-defined]


def needs_asyncgen_shutdown(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether a loop has live async generators; yes for a loop that does not say (uvloop)."""
    return bool(getattr(loop, "_asyncgens", True))


def needs_executor_shutdown(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether a loop made its default executor; yes for a loop that does not say (uvloop)."""
    return getattr(loop, "_default_executor", loop) is not None
