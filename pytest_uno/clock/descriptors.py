"""Descriptors that were given to `add_reader` and `add_writer`: somebody out there may make them ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_uno.clock.reasons import Reason

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

    from pytest_uno.clock.outside_work import Look
    from pytest_uno.clock.selector import Events

__all__ = ["Descriptors"]

_IDLE_MODULES = ("pytest_uno.core.application",)
"""Who waits for signals with a wake-up socket; waiting for a signal holds no clock."""


class Descriptors:
    """The descriptors of one loop that user code or a library watches; must be used in the loop's thread."""

    def __init__(self) -> None:
        self._since: dict[int, float | None] = {}
        self._idle: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._since)

    def add(self, descriptor: FileDescriptorLike, callback: Callable[..., object]) -> None:
        """Note a descriptor that is watched from now on."""
        number = _number(descriptor)
        owner: Any = getattr(callback, "__func__", callback)
        if getattr(owner, "__module__", None) in _IDLE_MODULES:
            self._idle.add(number)
        else:
            self._since.setdefault(number, None)

    def remove(self, descriptor: FileDescriptorLike) -> None:
        """Forget a descriptor that is not watched any more."""
        number = _number(descriptor)
        self._since.pop(number, None)
        self._idle.discard(number)

    def touch(self, events: Events) -> None:
        """Give descriptors that were just ready their patience anew."""
        if self._since:
            for key, _ in events:
                if key.fd in self._since:
                    self._since[key.fd] = None

    def reasons(self, look: Look) -> Iterator[Reason]:
        """Yield what holds the clock."""
        for number, since in list(self._since.items()):
            if since is None:
                since = self._since[number] = look.now
            if look.test_waits_for_more_than_time():
                yield Reason(since, look.budgets.patience, True, f"add_reader({number})")
            else:
                yield Reason(since, look.budgets.quiet, False, f"add_reader({number})")


def _number(descriptor: FileDescriptorLike) -> int:
    return descriptor if isinstance(descriptor, int) else descriptor.fileno()
