from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_uno.leaks.catalogue import DetectorFactory
from pytest_uno.leaks.detection import LeakDetection
from pytest_uno.leaks.model import Finding
from pytest_uno.leaks.owners import OWNER, Owner

ROOT = Path(__file__).parents[2]


class Bench:
    """A loop under detection, and tests on it, as the harness does it."""

    def __init__(
        self, make_loop: Callable[[], asyncio.AbstractEventLoop], others: Iterable[DetectorFactory] = ()
    ) -> None:
        self.detection = LeakDetection(root=ROOT, others=others)
        self.loop = make_loop()
        self.loop.set_exception_handler(self._handle)
        self.unhandled: list[dict[str, Any]] = []
        self.detection.install()
        self.detection.watch_loop(self.loop)

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self.detection.handle_loop_error(loop, context):
            self.unhandled.append(context)

    def run_test(
        self,
        test: Callable[[], Coroutine[Any, Any, object]],
        *,
        owner: Owner | None = None,
        loop_ends: bool = True,
    ) -> list[Finding]:
        """Run a test as the harness would, and return its findings."""
        owner = owner or Owner("test", getattr(test, "__name__", "test"))
        snapshot = self.detection.snapshot(owner)
        self.run_as(owner, test)
        owner.ended = True
        return self.detection.compare(snapshot, self.loop, loop_ends=loop_ends)

    def run_as(self, owner: Owner | None, function: Callable[[], Coroutine[Any, Any, object]]) -> Any:
        """Run a coroutine function in the name of an owner."""
        token = OWNER.set(owner)
        try:
            return self.loop.run_until_complete(function())
        finally:
            OWNER.reset(token)

    def close(self) -> None:
        self.detection.remove()
        self.loop.close()


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Detection on asyncio's own loop, or on what an indirect parameter makes."""
    bench = Bench(getattr(request, "param", asyncio.new_event_loop))
    yield bench
    bench.close()


def _line_of(function: Callable[..., object], mark: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(index for index, line in enumerate(lines) if mark in line)


@pytest.fixture
def line_of() -> Callable[[Callable[..., object], str], int]:
    """The line of a function that has a mark in it."""
    return _line_of
