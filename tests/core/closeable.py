"""A resource that can be closed."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Closeable"]


class Closeable:
    """Has whichever methods it is told to, and notes their calls."""

    def __init__(self, *methods: str, asynchronous: bool = False) -> None:
        self.called: list[str] = []
        for method in methods:
            setattr(self, method, self._make(method, asynchronous))

    def _make(self, name: str, asynchronous: bool) -> Any:
        async def call_async() -> None:
            await asyncio.sleep(0)
            self.called.append(name)

        return call_async if asynchronous else lambda: self.called.append(name)
