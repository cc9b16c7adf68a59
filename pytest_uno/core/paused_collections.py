"""The pause of automatic garbage collection, for work that must not be interrupted by it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collections_paused"]


@contextmanager
def collections_paused(*, sets_off_none: bool = False) -> Iterator[None]:
    """Let no garbage collection begin by itself inside the block, in any thread; also a decorator.

    The block must be short, or of the kind that makes little garbage in cycles. Blocks may nest; where collection is
    off already, it stays off.

    Args:
        sets_off_none: a collection of older objects, if one is due, is not to begin because of what the block has made:
            that is collected alone. Else what is due begins right after the block.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if sets_off_none:
            gc.collect(0)
        gc.enable()
