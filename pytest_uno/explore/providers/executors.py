"""Jobs in executors: `run_in_executor`, `to_thread` and `wrap_future`."""

from __future__ import annotations

import asyncio.futures
from types import FrameType
from typing import Any

__all__ = ["executor_of"]

_FUTURES = asyncio.futures.__file__


def executor_of(maker: FrameType) -> tuple[object] | None:
    """Say which executor keeps the order of what it finishes.

    Args:
        maker: the frame that makes a future.

    Returns:
        The executor when it has one worker, else None, in a tuple; None when this is no future of an executor.
    """
    if maker.f_code.co_name != "wrap_future" or maker.f_code.co_filename != _FUTURES:
        return None
    caller = maker.f_back
    executor: Any = None
    if caller is not None and caller.f_code.co_name == "run_in_executor":
        executor = caller.f_locals.get("executor")
    return (executor if getattr(executor, "_max_workers", None) == 1 else None,)
