from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pytest_uno.clock import VirtualEventLoop
from pytest_uno.database.leaks.detector import DatabaseLeaks
from tests.leaks.conftest import Bench, _line_of

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "real": asyncio.new_event_loop,
    "virtual": VirtualEventLoop,
}


@pytest.fixture(params=LOOPS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Detection on each kind of loop, with the detectors of the database."""
    bench = Bench(LOOPS[request.param], [DatabaseLeaks])
    asyncio.set_event_loop(bench.loop)  # drivers ask for it where none runs
    yield bench
    asyncio.set_event_loop(None)
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            thread.join(0.5)  # the last word of a driver goes to the loop
    bench.close()


@pytest.fixture
def engine(bench: Bench, tmp_path: Path) -> Iterator[AsyncEngine]:
    """An engine that no test has made."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/shop.db")
    yield engine
    bench.run_as(None, engine.dispose)


@pytest.fixture
def line_of() -> Callable[[Callable[..., object], str], int]:
    """The line of a function that has a mark in it."""
    return _line_of
