"""Subprocesses whose protocol is not asyncio's own: nothing but that protocol knows who waits for them.

`asyncio.create_subprocess_exec` makes a future for each wait, which tells. Who calls `loop.subprocess_exec` with a
protocol of its own, as anyio does, may wait with an `asyncio.Event` that `process_exited` sets.
"""

from __future__ import annotations

import asyncio
import asyncio.subprocess
import weakref
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING, Any, cast

from pytest_uno.clock.reasons import Reason
from pytest_uno.clock.wake_up_sockets import WakeUpLoop

if TYPE_CHECKING:
    from pytest_uno.clock.outside_work import Look, OutsideWork

__all__ = ["SubprocessLoop", "Subprocesses"]


class Subprocesses:
    """The running processes of one loop that have a protocol of their own; must be used in the loop's thread."""

    def __init__(self) -> None:
        self._since: weakref.WeakKeyDictionary[asyncio.SubprocessTransport, float | None] = (
            weakref.WeakKeyDictionary()
        )

    def __bool__(self) -> bool:
        return bool(self._since)

    def add(self, transport: asyncio.SubprocessTransport) -> None:
        """Note a process that was just started."""
        self._since[transport] = None

    def reasons(self, look: Look) -> Iterator[Reason]:
        """Yield what holds the clock."""
        for transport, since in list(self._since.items()):
            if transport.get_returncode() is not None or transport.is_closing():
                del self._since[transport]
                continue
            if since is None:
                since = self._since[transport] = look.now
            label = f"subprocess {transport.get_pid()}"
            if look.test_waits_for_more_than_time():
                yield Reason(since, look.budgets.patience, True, label)
            else:
                yield Reason(since, look.budgets.quiet, False, label)


class SubprocessLoop(WakeUpLoop):
    """The part of the virtual loop that notes such processes.

    Attributes:
        outside: what may be at work outside the loop.
    """

    outside: OutsideWork

    async def _make_subprocess_transport(
        self, protocol: Any, *args: Any, **options: Any
    ) -> asyncio.SubprocessTransport:
        made: Awaitable[object] = super()._make_subprocess_transport(protocol, *args, **options)  # type: ignore[misc]
        transport = cast("asyncio.SubprocessTransport", await made)
        if type(protocol) is not asyncio.subprocess.SubprocessStreamProtocol:
            self.outside.subprocesses.add(transport)
            self.outside.is_noted = True
        return transport
