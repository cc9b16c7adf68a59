"""The selector of a virtual loop: it asks the clock what to do instead of waiting.

`SelectorEventLoop(selector)` is asyncio's public way in. The loop calls `select(0)` while callbacks are ready, and
`select(None or seconds)` when it has nothing to do: that is the one moment at which virtual time can move.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Mapping, Sized
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

__all__ = ["Events", "VirtualSelector"]

Events = list[tuple[selectors.SelectorKey, int]]

_CHECK_BUSY_EVERY = 0x4000
"""Rounds of a loop that never rests between two looks at the real clock."""


class VirtualSelector(selectors.BaseSelector):
    """Delegates to a real selector; `select` differs.

    Args:
        real: the selector that watches the descriptors.
    """

    def __init__(self, real: selectors.BaseSelector) -> None:
        self.wait: Callable[[float | None], Events] = real.select
        """Wait for real: None for ever, else real seconds."""
        self.when_idle: Callable[[], Events] | None = None
        """Called when the loop has nothing to do; None waits for real."""
        self.when_busy: Callable[[bool], None] = _ignore
        """Called now and then while the loop never rests; the argument says that it is the first time."""
        self.signal_handlers: Sized = ()
        """The loop's signal handlers: signals come in through the wake-up socket."""
        self._real = real
        keys: Mapping[Any, Any] | None = getattr(
            real, "_fd_to_key", None
        )  # `len` of a real map is a call more
        self._descriptors: Mapping[Any, Any] = real.get_map() if keys is None else keys
        self._busy = 0
        self._has_news = False
        self.leaves_out_look = False
        """The next `select` of a busy loop asks no descriptor: its owner has just done so."""

    def may_have_events(self) -> bool:
        """Say whether a look at the descriptors can bring anything: there are others than the wake-up socket."""
        return len(self._descriptors) > 1 or bool(self.signal_handlers)

    def descriptors(self) -> list[Any]:
        """Return the descriptors that are watched."""
        return list(self._descriptors)

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a descriptor, see `selectors.BaseSelector.register`."""
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """Stop watching a descriptor, see `selectors.BaseSelector.unregister`."""
        return self._real.unregister(fileobj)

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what is watched, see `selectors.BaseSelector.modify`."""
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        """Return what is watched, see `selectors.BaseSelector.get_map`."""
        return self._real.get_map()

    def get_key(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """Return the key of a descriptor, see `selectors.BaseSelector.get_key`."""
        return self._real.get_key(fileobj)

    def close(self) -> None:
        """Close the real selector."""
        self._real.close()

    def select(self, timeout: float | None = None) -> Events:
        """Return the events; without any ready callback the clock decides.

        Args:
            timeout: virtual seconds to the next timer; None without one.
        """
        if self.when_idle is None:
            return self.wait(timeout)
        if timeout is not None and timeout <= 0:
            self._busy += 1
            if not self._busy % _CHECK_BUSY_EVERY:
                self.when_busy(self._busy == _CHECK_BUSY_EVERY)
            if self.leaves_out_look:
                self.leaves_out_look = False
                return []
            # The wake-up socket alone need not be asked: what it announces stands among the ready callbacks.
            if len(self._descriptors) <= 1 and not self.signal_handlers:
                return []
            events = self.wait(0)
            if events:
                self._has_news = True
            return events
        self._busy = 0
        return self.when_idle()

    def take_news(self) -> bool:
        """Say whether anything came in, since this was last asked, while the loop was busy."""
        has_news, self._has_news = self._has_news, False
        return has_news

    def forget_decision(self) -> None:
        """Wait for real from here on."""
        self.when_idle = None
        self.when_busy = _ignore

    def forget_busy(self) -> None:
        """Begin to count the rounds without rest anew."""
        self._busy = 0


def _ignore(*args: object) -> None: ...
