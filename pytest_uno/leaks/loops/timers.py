"""UNO203 timer: a callback that is scheduled for later and was neither cancelled nor has run when its owner ends.

The loop knows its timers; who has made them, and where, is noted in `call_at`, where every timer passes. The timers of
`asyncio.sleep` and `asyncio.timeout`, by far the most, are told by their callback; those that asyncio or this package
make otherwise, by their caller: they belong to something else, which is judged itself.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any, TypeAlias, cast

import pytest_uno
from pytest_uno.clock.virtual_loop import VirtualEventLoop
from pytest_uno.leaks.asyncio_internals import (
    ON_TIMEOUT,
    WAKE_UP,
    has_open_transport,
    shorten_traceback,
    timers_of,
)
from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Suspect
from pytest_uno.leaks.loops.callbacks import bound_object, explained_handles, name_of_callback
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.settling import settle_by_turns
from pytest_uno.leaks.sites import Site, Sites
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["Timers"]

_COMPACT_AT = 4096
"""Number of records at which those of timers that are gone are forgotten."""

_LATER = (asyncio.BaseEventLoop.call_later.__code__, VirtualEventLoop.call_later.__code__)
"""What stands between `call_at` and its caller."""

_LIBRARIES = (os.path.dirname(asyncio.__file__) + os.sep, os.path.dirname(pytest_uno.__file__) + os.sep)

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)

_Known: TypeAlias = "tuple[weakref.ref[asyncio.TimerHandle], Owner, Site]"
"""A plain tuple, since a named one takes half a microsecond to make."""


class Timers(FurtherDetector):
    """The detector of UNO203.

    Args:
        sites: records and resolves the sites.
        births: knows the tasks, and the test that runs.
    """

    def __init__(self, sites: Sites, births: TaskBirths) -> None:
        self._sites = sites
        self._births = births
        self._known: dict[int, _Known] = {}

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of asyncio's loops, and of the virtual one."""
        reason = "every timer is made there; the loop keeps it, and not who has made it, or where"
        return tuple(
            replace_attribute(kind, "call_at", self._wrap, reason=reason)
            for kind in (asyncio.BaseEventLoop, VirtualEventLoop)
        )

    def clear(self) -> None:
        """Let go of everything."""
        self._known.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the timers that are scheduled yet and that nothing else explains."""
        if not self._known:
            return []
        loop = judgement.loop
        found = settle_by_turns(loop, lambda: self._scheduled(judgement))
        explained = explained_handles([handle for handle, _ in found], judgement, self._births)
        suspects = [
            self._suspect(handle, known)
            for handle, known in found
            if id(handle) not in explained and not _is_of_connection(loop, handle)
        ]
        self._compact()
        return suspects

    def _scheduled(self, judgement: Judgement) -> list[tuple[asyncio.TimerHandle, _Known]]:
        """Return the judged timers, in the order in which they were made."""
        scheduled = {id(handle): handle for handle in timers_of(judgement.loop) if not handle.cancelled()}
        if not scheduled:
            return []
        return [
            (handle, known)
            for key, known in list(self._known.items())
            if (handle := scheduled.get(key)) is not None
            and known[0]() is handle
            and judgement.concerns(known[1])
        ]

    def _compact(self) -> int:
        """Forget the timers that are gone.

        Returns:
            The number of timers at which it is worth to do so again.
        """
        for key, known in list(self._known.items()):
            if known[0]() is None:
                self._known.pop(key, None)
        return max(_COMPACT_AT, 2 * len(self._known))

    def _wrap(self, call_at: Callable[..., asyncio.TimerHandle]) -> Callable[..., asyncio.TimerHandle]:
        # Everything that is needed often is a local here: this runs for every `sleep` of the application.
        capture, owner_of, births = self._sites.capture_innermost, OWNER.get, self._births
        known, limit = self._known, _COMPACT_AT
        wake_up, on_timeout = WAKE_UP, ON_TIMEOUT
        getframe, later, later_virtually = _getframe, *_LATER
        in_libraries: dict[str, bool] = {}
        ref: Callable[[asyncio.TimerHandle], weakref.ref[asyncio.TimerHandle]] = weakref.ref

        @functools.wraps(call_at)
        def call_at_and_remember(
            loop: asyncio.AbstractEventLoop,
            when: float,
            callback: Callable[..., object],
            *args: Any,
            context: contextvars.Context | None = None,
        ) -> asyncio.TimerHandle:
            nonlocal limit
            handle = call_at(loop, when, callback, *args, context=context)
            if callback is wake_up or getattr(callback, "__func__", None) is on_timeout:
                return handle
            if loop.get_debug():
                shorten_traceback(handle)
            caller = getframe(1)
            if (
                caller.f_code.co_name == "call_at"
            ):  # of a loop that is derived from asyncio's, or from the virtual one
                caller = cast("types.FrameType", caller.f_back)
            if caller.f_code is later or caller.f_code is later_virtually:
                caller = cast("types.FrameType", caller.f_back)
            file = caller.f_code.co_filename
            is_in_library = in_libraries.get(file)
            if is_in_library is None:
                is_in_library = in_libraries[file] = file.startswith(_LIBRARIES)
            if is_in_library:
                return handle
            owner = (owner_of() if context is None else context.get(OWNER)) or births.current
            # Without any of the user's frames it is a library's own affair.
            if owner is not None and (site := capture(caller)):
                key = id(handle)
                known.pop(key, None)  # or it would keep the place of the one that had this identity
                known[key] = (ref(handle), owner, site)
                if len(known) > limit:
                    limit = self._compact()
            return handle

        return call_at_and_remember

    def _suspect(self, handle: asyncio.TimerHandle, known: _Known) -> Suspect:
        ref, owner, site = known
        name = name_of_callback(handle)

        def describe(owner: OwnerInfo) -> Finding:
            return Finding(
                rule="UNO203",
                subject=f"timer that calls {name}() is still scheduled",
                target=name,
                created=self._sites.resolve(site),
                waiting_at=(),
                awaited_by=None,
                owner=owner,
            )

        def adopt(owner: Owner) -> None:
            self._known[id(handle)] = (ref, owner, site)

        return Suspect(handle, owner, describe, adopt, handle.cancel)


def _is_of_connection(loop: asyncio.AbstractEventLoop, handle: asyncio.TimerHandle) -> bool:
    """Say whether a timer is one of an open connection, as that which ends an idle one: closing it ends both."""
    protocol = bound_object(handle)
    return isinstance(protocol, asyncio.BaseProtocol) and has_open_transport(loop, protocol)
