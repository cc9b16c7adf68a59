"""The pause of automatic garbage collection, for work that must not be interrupted by it."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["collections_paused"]


@contextmanager
def collections_paused() -> Generator[None]:
    """Let no garbage collection begin by itself inside the block, in any thread; also a decorator.

    Neither does a collection of older objects begin because of what the block has made: that is collected alone when
    the block ends. The block must be short, or of the kind that makes little garbage in cycles. Blocks may nest; where
    collection is off already, it stays off.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        gc.enable()
