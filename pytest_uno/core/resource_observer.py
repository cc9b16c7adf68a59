"""The one hook through which leak detectors learn of resources that open and close.

The core must not know the detectors, which stand above it, and production code must not pay for them. So
there is one slot, empty unless a detector fills it. It may be process-wide, although nothing else in the core
is, because detectors are installed only while tests run, and a resource may be opened and closed by different
contexts, tasks, threads or loops of the same test: a context variable would lose sight of exactly those.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["ResourceObserver", "notify_closed", "notify_opened", "set_resource_observer"]


class ResourceObserver(Protocol):
    """What is told of resources, in the thread of the caller; it must not block and must not raise."""

    def opened(self, resource: object, *, name: str, manager_name: str) -> None:
        """Take note of a resource that is open from now on.

        Args:
            resource: the resource itself; keep no strong reference to it.
            name: its name.
            manager_name: the name of the manager it belongs to.
        """
        ...

    def closed(self, resource: object) -> None:
        """Take note of a resource that is closed from now on, be it with an error.

        Args:
            resource: the resource; it may be unknown if it was opened before the observer was set.
        """
        ...


_observer: ResourceObserver | None = None


def set_resource_observer(observer: ResourceObserver | None) -> ResourceObserver | None:
    """Put an observer in the slot.

    Args:
        observer: the new observer, or None for none. Whoever sets one must put the previous one back.

    Returns:
        The observer that was in the slot until now.
    """
    global _observer
    previous, _observer = _observer, observer
    return previous


def notify_opened(resource: object, *, name: str, manager_name: str) -> None:
    """Tell the observer, if there is one, that a resource is open.

    Args:
        resource: the resource.
        name: its name.
        manager_name: the name of the manager it belongs to.
    """
    observer = _observer
    if observer is not None:
        observer.opened(resource, name=name, manager_name=manager_name)


def notify_closed(resource: object) -> None:
    """Tell the observer, if there is one, that a resource is closed.

    Args:
        resource: the resource.
    """
    observer = _observer
    if observer is not None:
        observer.closed(resource)
