"""A thread for the length of a block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

__all__ = ["running_thread"]


@contextmanager
def running_thread(
    target: Callable[[], object], name: str = "worker"
) -> Generator[threading.Thread, None, None]:
    """Run a function in a thread, and wait for its end."""
    thread = threading.Thread(target=target, name=name)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(30)
