"""Run a coroutine on each kind of loop that an injection must not care about."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from pytest_uno.clock import VirtualEventLoop

__all__ = ["LOOPS", "run", "run_on"]

T = TypeVar("T")

LOOPS = pytest.mark.parametrize("kind", ["virtual", "asyncio"])


def run(main: Coroutine[Any, Any, T]) -> T:
    return run_on("virtual", main)


def run_on(kind: str, main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(
        loop_factory=VirtualEventLoop if kind == "virtual" else asyncio.new_event_loop
    ) as runner:
        return runner.run(main)
