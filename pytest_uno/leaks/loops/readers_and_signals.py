"""UNO204 reader-or-signal: what was registered with `add_reader`, `add_writer` or `add_signal_handler`, and stays.

asyncio's own transports watch their descriptors by other ways, and are judged themselves. The loop knows what is
registered; the handle of a registration tells whether it is still the one that was noted, since a descriptor's number
is soon another's.
"""

from __future__ import annotations

import asyncio
import functools
import signal
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from pytest_uno.leaks.asyncio_internals import reader_and_writer, signal_handle
from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Suspect
from pytest_uno.leaks.loops.callbacks import bound_object, explained_handles, name_of_callback
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.settling import settle_by_turns
from pytest_uno.leaks.sites import Site, Sites
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["Registrations"]

_READER, _WRITER, _SIGNAL = 0, 1, 2

_COMPACT_AT = 1024
"""Number of registrations at which those that are gone are forgotten."""


class _Registration(NamedTuple):
    ref: weakref.ref[asyncio.Handle]
    loop: weakref.ref[asyncio.AbstractEventLoop]
    kind: int
    number: int
    """Of the descriptor or signal."""
    owner: Owner
    site: Site

    def handle(self, loop: asyncio.AbstractEventLoop) -> asyncio.Handle | None:
        """Return the handle, if it is registered with a loop."""
        handle = self.ref()
        if handle is None or self.loop() is not loop or handle is not _find(loop, self.kind, self.number):
            return None
        return handle


class Registrations(FurtherDetector):
    """The detector of UNO204.

    Args:
        sites: records and resolves the sites.
        births: knows the tasks, and the test that runs.
    """

    def __init__(self, sites: Sites, births: TaskBirths) -> None:
        self._sites = sites
        self._births = births
        self._known: list[_Registration] = []
        self._limit = _COMPACT_AT

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of asyncio's selector loops, and so of the virtual one."""
        reason = "the loop keeps what is registered, and not who has registered it, or where"
        kinds = (("add_reader", _READER), ("add_writer", _WRITER), ("add_signal_handler", _SIGNAL))
        return tuple(
            replace_attribute(
                asyncio.SelectorEventLoop, name, functools.partial(self._wrap, kind), reason=reason
            )
            for name, kind in kinds
        )

    def clear(self) -> None:
        """Let go of everything."""
        self._known.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return what is registered yet and no reported task explains."""
        if not self._known:
            return []
        self._compact()

        def suspects() -> list[tuple[asyncio.Handle, _Registration]]:
            return [
                (handle, known)
                for known in self._known
                if judgement.concerns(known.owner) and (handle := known.handle(judgement.loop)) is not None
            ]

        found = settle_by_turns(judgement.loop, suspects)
        explained = explained_handles([handle for handle, _ in found], judgement, self._births)
        return [
            self._suspect(judgement.loop, handle, known)
            for handle, known in found
            if id(handle) not in explained
        ]

    def _wrap(self, kind: int, add: Callable[..., object]) -> Callable[..., object]:
        capture, owner_of = self._sites.capture, OWNER.get

        @functools.wraps(add)
        def add_and_remember(
            loop: asyncio.AbstractEventLoop, watched: Any, callback: Callable[..., object], *args: Any
        ) -> object:
            result = add(loop, watched, callback, *args)
            owner = owner_of() or self._births.current
            # Without any of the user's frames it is a library's own affair, or the harness's.
            if owner is not None and (site := capture()):
                number = int(watched) if isinstance(watched, int) else watched.fileno()
                handle = _find(loop, kind, number)
                if handle is not None:
                    known = _Registration(weakref.ref(handle), weakref.ref(loop), kind, number, owner, site)
                    self._known.append(known)
                    if len(self._known) > self._limit:
                        self._compact()
            return result

        return add_and_remember

    def _compact(self) -> None:
        self._known = [
            known for known in self._known if (handle := known.ref()) is not None and not handle.cancelled()
        ]
        self._limit = max(_COMPACT_AT, 2 * len(self._known))

    def _suspect(
        self, loop: asyncio.AbstractEventLoop, handle: asyncio.Handle, known: _Registration
    ) -> Suspect:
        name = name_of_callback(handle)

        def describe(owner: OwnerInfo) -> Finding:
            what = (
                f"handler of {signal.Signals(known.number).name}"
                if known.kind == _SIGNAL
                else ("reader", "writer")[known.kind]
            )
            return Finding(
                rule="UNO204",
                subject=f"{what} that calls {name}() was not removed",
                target=name,
                created=self._sites.resolve(known.site),
                waiting_at=(),
                awaited_by=None,
                owner=owner,
            )

        def adopt(owner: Owner) -> None:
            self._known[self._known.index(known)] = known._replace(owner=owner)

        # The object whose method is called can remove it; the handle itself nobody holds but the loop.
        held = bound_object(handle)
        return Suspect(
            handle if held is None else held,
            known.owner,
            describe,
            adopt,
            lambda: _remove(loop, handle, known),
        )


def _find(loop: asyncio.AbstractEventLoop, kind: int, number: int) -> asyncio.Handle | None:
    if kind == _SIGNAL:
        return signal_handle(loop, number)
    return reader_and_writer(loop, number)[kind]


def _remove(loop: asyncio.AbstractEventLoop, handle: asyncio.Handle, known: _Registration) -> None:
    handle.cancel()  # for a descriptor that is closed, which a selector may refuse to unregister
    if known.kind == _SIGNAL:
        loop.remove_signal_handler(known.number)
    elif known.kind == _READER:
        loop.remove_reader(known.number)
    else:
        loop.remove_writer(known.number)
