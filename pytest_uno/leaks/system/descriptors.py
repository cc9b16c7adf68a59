"""UNO406 fd: a bare file descriptor that is still open.

The functions of `os` that return descriptors note them, `os.close` forgets them. Who closes one by other means (a file
object, an extension) is not seen; so what is noted is still meant only if it is open and the same file as before.
Descriptors that C code opens for itself are nobody's here.
"""

from __future__ import annotations

import os
import sys
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Site, Sites
from pytest_uno.leaks.system.function_patches import AfterCall, BeforeCall
from pytest_uno.leaks.system.thread_origins import ThreadOrigins, is_made_by_import
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["Descriptors", "is_part_of_another", "shown_name"]

_KINDS = {
    "open": "descriptor of {name}",
    "dup": "duplicated descriptor",
    "eventfd": "eventfd",
    "memfd_create": "memory file",
    "pidfd_open": "descriptor of a process",
    "timerfd_create": "timer descriptor",
    "pipe": "{end} of a pipe",
    "pipe2": "{end} of a pipe",
    "openpty": "{end} of a pseudo-terminal",
}
"""What the functions of `os` return; those that a platform does not have are left out."""

_ENDS = {"pipe": ("read end", "write end"), "openpty": ("master", "slave")}

_PARTS = ("asyncio", "multiprocessing", "subprocess")
"""Packages whose descriptors and pipes are a part of a process or a loop."""

_COMPACT_AT = 1024
"""Number of descriptors at which those that are closed are forgotten."""

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


@dataclass(slots=True, eq=False)
class _Opened:
    """What one call has returned.

    Attributes:
        function: the name of the function.
        name: of the file, for `os.open`.
        owner: who called it.
        site: where.
        ends: the descriptors, each with the identity of its file.
        opener: the object whose method called it, which can close it; None if there is none.
    """

    function: str
    name: object
    owner: Owner
    site: Site
    ends: dict[int, tuple[int, int]]
    opener: Callable[[], object] | None
    order: tuple[int, ...] = field(default=())

    def open_ends(self) -> list[int]:
        """Return the descriptors that are open, and the same files as before."""
        return [number for number, identity in list(self.ends.items()) if _identity(number) == identity]

    def describe(self) -> str:
        """Say what is open."""
        ends = self.open_ends()
        kind = _KINDS[self.function]
        if len(self.order) == 1:
            return kind.format(name=shown_name(self.name))
        names = _ENDS["openpty" if self.function == "openpty" else "pipe"]
        end = "both ends" if len(ends) == 2 else names[self.order.index(ends[0])] if ends else names[0]
        return kind.format(end=end)


class Descriptors(FurtherDetector):
    """The detector of UNO406.

    Args:
        sites: records and resolves the sites.
        births: knows the test that runs.
        origins: knows where threads come from.
    """

    on_loops = False

    def __init__(self, sites: Sites, births: TaskBirths, origins: ThreadOrigins) -> None:
        self._sites = sites
        self._births = births
        self._origins = origins
        self._opened: dict[int, _Opened] = {}
        self._limit = _COMPACT_AT

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of the functions that return descriptors, and of the one that closes them."""
        reason = "the system knows which descriptors are open, and not who has opened them, or where"
        hooks = [
            replace_attribute(os, name, self._wrapping(name), reason=reason)
            for name in _KINDS
            if hasattr(os, name)
        ]
        hooks.append(
            replace_attribute(
                os,
                "close",
                lambda close: BeforeCall(close, self.hand_over, "os"),
                reason="the number of a descriptor that was closed is soon another's",
            )
        )
        hooks.append(
            Hook(
                "os.supports_dir_fd",
                "asked whether `os.open` takes `dir_fd`, it has to know what stands in its place",
                self._support_dir_fd,
            )
        )
        return tuple(hooks)

    def clear(self) -> None:
        """Let go of everything."""
        self._opened.clear()

    def hand_over(self, number: object) -> None:
        """Forget a descriptor that is closed now, or that something else is responsible for from now on.

        Args:
            number: the descriptor.
        """
        if self._opened and isinstance(number, int):
            opened = self._opened.pop(number, None)
            if opened is not None:
                opened.ends.pop(number, None)

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return what is open, both ends of a pipe as one."""
        if not self._opened:
            return []
        self._compact()
        calls = dict.fromkeys(self._opened.values())
        return [
            self._suspect(opened)
            for opened in calls
            if (opened.owner.ended or opened.owner is judgement.owner)
            and id(opened) not in judgement.explained
            and not is_made_by_import(opened.site)
        ]

    def _wrapping(self, name: str) -> Callable[[Any], Any]:
        def note(result: Any, argument: object) -> None:
            owner = OWNER.get() or self._births.current
            numbers = cast("tuple[int, ...]", result) if isinstance(result, tuple) else (cast("int", result),)
            for number in numbers:
                self.hand_over(number)
            if owner is None:
                return
            site = self._origins.capture(self._sites)
            caller = _getframe(2)
            if not site or is_part_of_another(caller):
                return
            ends = {number: identity for number in numbers if (identity := _identity(number)) is not None}
            opened = _Opened(name, argument, owner, site, ends, _method_owner(caller), numbers)
            self._opened.update(dict.fromkeys(ends, opened))
            if len(self._opened) > self._limit:
                self._compact()

        return lambda original: AfterCall(original, note, "os")

    def _compact(self) -> None:
        """Forget what is not open any more."""
        for number, opened in list(self._opened.items()):
            if _identity(number) != opened.ends.get(number):
                self.hand_over(number)
        self._limit = max(_COMPACT_AT, 2 * len(self._opened))

    def _support_dir_fd(self) -> Callable[[], None]:
        ours = os.open
        is_added = getattr(ours, "__wrapped__", None) in os.supports_dir_fd
        if is_added:
            os.supports_dir_fd.add(ours)

        def restore() -> None:
            if is_added:
                os.supports_dir_fd.discard(ours)

        return restore

    def _suspect(self, opened: _Opened) -> Suspect:
        def describe(owner: OwnerInfo) -> Finding:
            what = opened.describe()
            return Finding(
                rule="UNO406",
                subject=f"{what} left open",
                target=f"os.{opened.function}",
                created=self._sites.resolve(opened.site),
                waiting_at=(),
                awaited_by=None,
                owner=owner,
            )

        def adopt(owner: Owner) -> None:
            opened.owner = owner

        def dispose() -> None:
            for number in opened.open_ends():
                self.hand_over(number)
                os.close(number)

        # A number is held by everybody who can count: what can close it is the object that has opened it.
        opener = None if opened.opener is None else opened.opener()
        return Suspect(opened if opener is None else opener, opened.owner, describe, adopt, dispose)


def is_part_of_another(frame: types.FrameType) -> bool:
    """Say whether code opens something for an object of its own that is judged itself, as a process is.

    Args:
        frame: the frame that has called `open`, or a function of `os`.
    """
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _PARTS


def shown_name(name: object) -> str:
    """Say which file it is, so that two runs say the same: without its folder, nor the name of a temporary one.

    Args:
        name: what it was opened by.
    """
    if isinstance(name, int):
        return "a descriptor"
    path = os.fsdecode(cast("str", name)) if isinstance(name, str | bytes | os.PathLike) else str(name)
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None and os.path.basename(path).startswith(tempfile.template):
        return "a temporary file"
    return f"file {os.path.basename(path)!r}"


def _identity(number: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _method_owner(frame: types.FrameType) -> Callable[[], object] | None:
    """Return a weak reference to the object whose method a frame runs."""
    code = frame.f_code
    if not code.co_argcount or code.co_varnames[0] != "self":
        return None
    try:
        return weakref.ref(frame.f_locals["self"])
    except (KeyError, TypeError):
        return None
