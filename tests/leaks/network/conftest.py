from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.leaks.network.connections import KEPT


@pytest.fixture
def the_loop_ends_what_is_closing(bench: Any) -> Iterator[None]:
    """Let go of what a test has kept, and give the loop the time to end it."""
    yield
    KEPT.clear()
    bench.run_as(None, lambda: asyncio.sleep(0.01))
