"""UNO405 file: a file that was opened and not closed.

Python closes a file that nobody refers to any more, and tells its raw file of it, with a call that an attribute of the
raw file can answer: so a file that is dropped is known for sure, whatever the filters of warnings say. A raw file is
held until it is judged, which keeps nothing open: the object that `open` has returned closes it.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import stat
import sys
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytest_uno.leaks.asyncio_internals import warning_sink
from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Site, Sites
from pytest_uno.leaks.system.descriptors import Descriptors, is_part_of_another, shown_name
from pytest_uno.leaks.system.function_patches import AfterCall
from pytest_uno.leaks.system.thread_origins import ThreadOrigins, is_made_by_import
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["Files"]

_COMPACT_AT = 256
"""Number of files at which those that are closed are forgotten."""

_FINALISER = "_dealloc_warn"
"""What the objects of `io` call on what they stand on when they are freed while they are open (3.11 to 3.15)."""

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


@dataclass(slots=True, eq=False)
class _Opened:
    """A file that was opened.

    Attributes:
        file: a weak reference to what `open` has returned.
        raw: its raw file; None if that is what was returned.
        owner: who has opened it.
        site: where.
        is_users: whether the user's own code has called `open`, and no object of a library has the file.
        is_dropped: whether it was freed while it was open.
    """

    file: weakref.ref[Any]
    raw: io.FileIO | None
    owner: Owner
    site: Site
    is_users: bool
    is_dropped: bool = False

    def is_left(self) -> bool:
        """Say whether it is open, or was dropped while it was."""
        if self.is_dropped:
            return True
        raw = self.raw if self.raw is not None else self.file()
        if raw is None or raw.closed:
            return False
        try:
            os.fstat(raw.fileno())
        except (OSError, ValueError):
            return False  # somebody has closed the descriptor itself
        return True

    def release(self) -> None:
        """Let go of the raw file, and it of this."""
        if self.raw is not None:
            vars(self.raw).pop(_FINALISER, None)
            self.raw = None


class Files(FurtherDetector):
    """The detector of UNO405.

    Args:
        sites: records and resolves the sites.
        births: knows the test that runs.
        origins: knows where threads come from.
        descriptors: is told which descriptors belong to files.
    """

    on_loops = False

    def __init__(
        self, sites: Sites, births: TaskBirths, origins: ThreadOrigins, descriptors: Descriptors
    ) -> None:
        self._sites = sites
        self._births = births
        self._origins = origins
        self._descriptors = descriptors
        self._opened: list[_Opened] = []
        self._limit = _COMPACT_AT
        self._sink: object = None

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of `open`, which pathlib, tempfile and gzip call by one of these names."""
        reason = "a file does not tell where it was opened; an audit hook could never be taken out again"

        patches: dict[int, AfterCall] = {}

        def wrap(original: Any) -> AfterCall:  # the same for both names, as before
            return patches.setdefault(id(original), AfterCall(original, self._note, "builtins"))

        return (
            replace_attribute(builtins, "open", wrap, reason=reason),
            replace_attribute(io, "open", wrap, reason=reason),
        )

    def snapshot(self, owner: Owner) -> None:
        """Take note of who takes warnings."""
        self._sink = warning_sink()

    def clear(self) -> None:
        """Let go of everything."""
        for opened in self._opened:
            opened.release()
        self._opened.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the files that are open, or were dropped."""
        if not self._opened:
            return []
        self._compact()
        return [
            self._suspect(opened)
            for opened in self._opened
            if (opened.owner.ended or opened.owner is judgement.owner)
            and not self._is_explained(opened, judgement)
        ]

    def _note(self, file: Any, name: object) -> None:
        raw = _raw_file(file)
        if raw is None or not raw.closefd:  # a double of a test, or a second view of a descriptor
            return
        self._descriptors.hand_over(raw.fileno())
        owner = OWNER.get() or self._births.current
        if owner is None:
            return
        site = self._origins.capture(self._sites)
        caller = _getframe(2)
        if not site or _is_of_library(caller):
            return
        is_users = self._sites.is_user(caller.f_code.co_filename)
        if raw is file:
            opened = _Opened(weakref.ref(file), None, owner, site, is_users)
        else:
            opened = _Opened(weakref.ref(file), raw, owner, site, is_users)
            setattr(raw, _FINALISER, self._answer_finaliser(opened, raw))
        self._opened.append(opened)
        if len(self._opened) > self._limit:
            self._compact()

    def _answer_finaliser(self, opened: _Opened, raw: io.FileIO) -> Callable[[Any], None]:
        def note_drop(source: Any) -> None:
            is_expected = self._births.current is not None and warning_sink() is not self._sink
            opened.is_dropped = not is_expected
            getattr(io.FileIO, _FINALISER)(raw, source)  # the warning, as ever

        return note_drop

    def _is_explained(self, opened: _Opened, judgement: Judgement) -> bool:
        return (
            id(opened.file()) in judgement.explained
            or (opened.raw is not None and id(opened.raw) in judgement.explained)
            or is_made_by_import(opened.site)
        )

    def _compact(self) -> None:
        """Forget what is closed."""
        left: list[_Opened] = []
        for opened in self._opened:
            if opened.is_left():
                left.append(opened)
            else:
                opened.release()
        self._opened = left
        self._limit = max(_COMPACT_AT, 2 * len(self._opened))

    def _suspect(self, opened: _Opened) -> Suspect:
        file = opened.file()
        raw = opened.raw if opened.raw is not None else file
        what = _describe(raw)

        def describe(owner: OwnerInfo) -> Finding:
            how = "was dropped before it was closed" if opened.is_dropped else "was not closed"
            return Finding(
                rule="UNO405",
                subject=f"{what} {how}",
                target="file",
                created=self._sites.resolve(opened.site),
                waiting_at=(),
                awaited_by=None,
                owner=owner,
            )

        def adopt(owner: Owner) -> None:
            opened.owner = owner

        def dispose() -> None:
            self._opened = [each for each in self._opened if each is not opened]
            if opened.raw is not None and not opened.is_users:
                # Its owner, as a log handler, could not write any more, or not even close: let it end in silence.
                setattr(opened.raw, _FINALISER, _ignore)
                opened.raw = None
                return
            for each in (file, raw):  # a file that was detached cannot be closed any more
                if each is not None:
                    with contextlib.suppress(Exception):
                        each.close()
            opened.release()

        return Suspect(opened if opened.is_dropped else raw, opened.owner, describe, adopt, dispose)


def _raw_file(file: Any) -> io.FileIO | None:
    raw = file
    for _ in range(2):  # text, buffer, raw
        raw = getattr(raw, "buffer", None) or getattr(raw, "raw", None) or raw
    return raw if type(raw) is io.FileIO else None


def _describe(raw: Any) -> str:
    name = getattr(raw, "name", None)
    if not isinstance(name, int):
        return shown_name(name)
    with contextlib.suppress(OSError, ValueError):
        if stat.S_ISFIFO(os.fstat(raw.fileno()).st_mode):
            return "file of a pipe"
    return "file of a descriptor"


def _ignore(source: object) -> None:
    """Answer the finaliser of a file that was reported."""


def _is_of_library(caller: types.FrameType | None) -> bool:
    """Say whether a file is a part of a process, or was opened by a log handler when it had something to write."""
    frame = caller
    if frame is not None and frame.f_globals.get("__name__") == "os":
        frame = frame.f_back  # `os.fdopen`
    if frame is not None and is_part_of_another(frame):
        return True
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "logging":
        if frame.f_code.co_name == "emit":
            return True
        frame = frame.f_back
    return False
