"""A time limit whose error says what took too long."""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType

__all__ = ["timeout"]


class timeout:  # noqa: N801 - used like a function, as asyncio.timeout is
    """Limit the time a block may take: `asyncio.timeout` with the error's message filled in.

    A `TimeoutError` that the block itself raises keeps its own message. The clock is the event loop's.

    Must be used inside a task, once.

    Args:
        seconds: how long the block may take, on the event loop's clock; None for no limit.
        message: what the `TimeoutError` says; by default after how long, and where the block is.

    Raises:
        TimeoutError: on leaving, if the time was up.
        RuntimeError: used outside of a task, or for a second block.

    Example:
        >>> async def read_reply(reader):
        ...     async with timeout(5, "the server did not answer") as limit:
        ...         header = await reader.readline()
        ...         limit.reschedule(asyncio.get_running_loop().time() + 60)
        ...         return header, await reader.read()
    """

    __slots__ = ("_inner", "_message", "_seconds", "_where")

    def __init__(self, seconds: float | None, message: str | None = None) -> None:
        self._seconds = seconds
        self._message = message
        self._inner: asyncio.Timeout | None = None
        frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage] - documented
        self._where = (frame.f_code, frame.f_lineno)  # not the frame: it would keep its variables alive

    async def __aenter__(self) -> asyncio.Timeout:
        """Start the clock.

        Returns:
            The `asyncio.Timeout`, whose deadline can be looked at and moved.
        """
        if self._inner is None:
            self._inner = asyncio.timeout(self._seconds)
        return await self._inner.__aenter__()  # refuses a second block

    async def __aexit__(
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        inner = self._inner
        assert inner is not None
        try:
            await inner.__aexit__(et, exc, tb)
        except TimeoutError as expired:
            # Raised by asyncio.timeout itself: what the block raised does not pass through here.
            expired.args = (self._describe(inner),)
            raise

    def _describe(self, inner: asyncio.Timeout) -> str:
        if self._message is not None:
            return self._message
        code, line = self._where
        place = f"{code.co_name} ({code.co_filename}:{line})"
        if self._seconds is None:  # it got its limit from reschedule()
            return f"timed out in {place}"
        return f"timed out after {self._seconds:g} s in {place}"
