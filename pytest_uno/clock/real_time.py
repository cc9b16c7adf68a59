"""The real clocks, out of reach of libraries that freeze time.

freezegun replaces every module attribute that *is* `time.monotonic` or `time.time`; a partial is none.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

__all__ = ["monotonic", "wall_time"]

monotonic: Callable[[], float] = (
    functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    if hasattr(time, "clock_gettime")
    else functools.partial(time.monotonic)
)
"""Return real seconds since an arbitrary moment."""

wall_time: Callable[[], float] = (
    functools.partial(time.clock_gettime, time.CLOCK_REALTIME)
    if hasattr(time, "clock_gettime")
    else functools.partial(time.time)
)
"""Return the real time in seconds since 1970."""
