"""Signals to this process."""

from __future__ import annotations

import asyncio
import signal

__all__ = ["raise_soon"]


def raise_soon(number: int = signal.SIGTERM, *, after: int = 3) -> None:
    """Send a signal to this process after some passes of the loop."""
    loop = asyncio.get_running_loop()
    if after:
        loop.call_soon(lambda: raise_soon(number, after=after - 1))
    else:
        signal.raise_signal(number)
