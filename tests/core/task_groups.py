"""What tests of both kinds of task groups need."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

__all__ = ["both_modes", "running_task"]

both_modes = pytest.mark.parametrize("cancel_on_error", [True, False])


def running_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task
