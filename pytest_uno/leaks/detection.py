"""All leak detectors of one test run, behind one face for the harness."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_uno.leaks.model import Finding
from pytest_uno.leaks.owners import Owner

__all__ = ["LeakDetection", "Snapshot"]


@dataclass(slots=True)
class Snapshot:
    """What the detectors remember of the start of a test."""

    owner: Owner


class LeakDetection:
    """The detectors of one test run."""

    def __init__(self, *, root: Path) -> None:
        self._root = root

    def install(self) -> None: ...
    def remove(self) -> None: ...
    def watch_loop(self, loop: asyncio.AbstractEventLoop) -> None: ...
    def unwatch_loop(self, loop: asyncio.AbstractEventLoop) -> None: ...
    def exempt_task(self, task: asyncio.Task[Any]) -> None: ...
    def retain(self, owner: Owner, value: object) -> None: ...
    def release(self, owner: Owner) -> None: ...

    def snapshot(self, owner: Owner) -> Snapshot:
        return Snapshot(owner)

    def compare(
        self, snapshot: Snapshot, loop: asyncio.AbstractEventLoop, *, loop_ends: bool
    ) -> list[Finding]:
        return []

    def judge_loop(self, loop: asyncio.AbstractEventLoop, *, default_owner: Owner) -> list[Finding]:
        return []

    def handle_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> bool:
        return False

    def drain(self) -> list[Finding]:
        return []
