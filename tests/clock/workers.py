"""A thread that takes jobs and calls back."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Worker"]

Job = tuple[Callable[[], Any], Callable[[Any], object]]


class Worker:
    """What an unknown library may have: a thread that takes jobs and calls back when they are done."""

    def __init__(self) -> None:
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="unknown worker")
        self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, done = job
            done(work())

    def ask(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self.tell(work, lambda result: loop.call_soon_threadsafe(answer.set_result, result))
        return answer

    def tell(self, work: Callable[[], Any], done: Callable[[Any], object]) -> None:
        self._jobs.put((work, done))

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join(30)
