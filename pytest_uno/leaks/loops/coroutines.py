"""UNO201 never-awaited: a coroutine that was made and never awaited.

The interpreter reports a dropped one when it goes, by calling `warnings._warn_unawaited_coroutine`, which
is looked up anew each time: the one place where every such coroutine passes. Where it was made, `cr_origin`
says, which the interpreter records at a depth of one frame for 0.15 microseconds a call (two frames: 0.24;
four: 0.9).

What is kept is not dropped, so nothing reports it: those are looked for among the young objects.
"""

from __future__ import annotations

import inspect
import linecache
import os
import sys
import traceback
import types
import warnings
import weakref
from collections.abc import Callable, Iterable
from typing import TypeAlias, cast

import pytest_uno
from pytest_uno.leaks.asyncio_internals import warning_sink
from pytest_uno.leaks.judging import Judgement, Ledger, Suspect
from pytest_uno.leaks.model import Finding, Frame, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Sites

__all__ = ["AnyCoroutine", "NeverAwaited"]

_WARNINGS = ("warnings", "_py_warnings")
"""The modules of the interpreter's own function; the second since 3.14."""

_HARNESS = os.path.join(os.path.dirname(pytest_uno.__file__), "harness", "").replace(os.sep, "/")

AnyCoroutine: TypeAlias = "types.CoroutineType[object, object, object]"


class NeverAwaited:
    """The detector of UNO201.

    Args:
        sites: turns origins into frames.
        ledger: takes the dropped ones as they go.

    Attributes:
        users_depth: to what depth origins are recorded without us: what a warning tells.
    """

    young_kinds: frozenset[type] = frozenset({types.CoroutineType})

    def __init__(self, sites: Sites, ledger: Ledger) -> None:
        self._sites = sites
        self._ledger = ledger
        self._current: Owner | None = None
        self._sink: object = None
        self.users_depth = 0
        self._older: weakref.WeakSet[AnyCoroutine] = weakref.WeakSet()

    def snapshot(self, owner: Owner) -> None:
        """Take note of the test, and of what receives its warnings."""
        self._current = owner
        self._sink = warning_sink()

    def forget_test(self) -> None:
        """Take note of the end of the test."""
        self._current = None

    def excuse(self, things: Iterable[object]) -> None:
        """Never judge coroutines that were there before.

        Args:
            things: objects; those that are no coroutines do not matter.
        """
        self._older.update(cast("AnyCoroutine", thing) for thing in things if self.is_candidate(thing))

    def is_candidate(self, thing: object) -> bool:
        """Say whether an object of one of the `young_kinds` deserves a closer look.

        Args:
            thing: the object.
        """
        if not isinstance(thing, types.CoroutineType):
            return False
        coro = cast("AnyCoroutine", thing)
        return (
            inspect.getcoroutinestate(coro) == inspect.CORO_CREATED
            and coro not in self._older
            and not _is_test_machinery(coro)
        )

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the kept ones; the detection has left out what belongs to tasks."""
        return [self._suspect(coro, judgement.owner) for coro in judgement.young if self.is_candidate(coro)]

    def wrap_warning(self, warn: Callable[[AnyCoroutine], None]) -> Callable[[AnyCoroutine], None]:
        """Return what to put in the place of `warnings._warn_unawaited_coroutine`.

        Args:
            warn: what stands there, for what is not ours. The hook of another detection is passed over: in
                a test run inside a test run, the inner one knows its tests and has decided.
        """
        warn = inspect.unwrap(warn)
        is_interpreters = getattr(warn, "__module__", None) in _WARNINGS

        def record_or_warn(coro: AnyCoroutine) -> None:
            owner = OWNER.get() or self._current
            expected = self._current is not None and warning_sink() is not self._sink
            if owner is None or expected or _is_test_machinery(coro):
                references = sys.getrefcount(coro)
                if is_interpreters:
                    # Not by calling it: it names the line of its caller, and so would name ours.
                    message = self._message(coro)
                    warnings.warn(message, RuntimeWarning, stacklevel=2, source=coro)
                else:
                    warn(coro)
                # Who records warnings keeps the coroutine with them. A weak reference may be made only then:
                # the interpreter does not clear one that a finaliser makes to what is going.
                if sys.getrefcount(coro) > references:
                    self._older.add(coro)
            else:
                finding = self._describe(coro, self._where_dropped(coro), OwnerInfo.of(owner), "")
                self._ledger.record(owner, finding)

        record_or_warn.__wrapped__ = warn  # type: ignore[attr-defined]
        return record_or_warn

    def _message(self, coro: AnyCoroutine) -> str:
        """Return what `warnings._warn_unawaited_coroutine` (3.11 to 3.15) would say, were it not for us."""
        message = f"coroutine '{coro.__qualname__}' was never awaited"
        origin = self._origin(coro)
        # Longer than we ask for: asyncio's debug mode records the whole stack while it runs.
        if not origin or (not self.users_depth and len(origin) == 1):
            return message
        summary = traceback.StackSummary.from_list(
            [(file, line, name, linecache.getline(file, line)) for file, line, name in reversed(origin)]
        )
        lines = "".join(traceback.format_list(summary))
        return f"{message}\nCoroutine created at (most recent call last)\n{lines}".rstrip("\n")

    def _where_dropped(self, coro: AnyCoroutine) -> tuple[Frame, ...]:
        """Say where a coroutine was made that goes now: most go where they were made, so ask the stack."""
        here = self._sites.resolve(self._sites.capture())
        origin = self._origin(coro)
        if not origin or not self._sites.is_user(origin[0][0]):
            return here or self._where_made(coro)
        made = self._sites.frame(*origin[0])
        if here and (here[0].file, here[0].line) == (made.file, made.line):
            return here
        return self._where_made(coro)

    def _where_made(self, coro: AnyCoroutine) -> tuple[Frame, ...]:
        origin = self._origin(coro)
        if not origin:
            return self._sites.definition(coro.cr_code)
        return tuple(self._sites.frame(*entry) for entry in origin)

    @staticmethod
    def _origin(coro: AnyCoroutine) -> tuple[tuple[str, int, str], ...]:
        return coro.cr_origin or ()

    def _suspect(self, thing: object, owner: Owner) -> Suspect:
        coro = cast("AnyCoroutine", thing)

        def describe(blamed: OwnerInfo) -> Finding:
            return self._describe(coro, self._where_made(coro), blamed, ", and is still referenced")

        def adopt(holder: Owner) -> None:
            self._older.add(coro)

        return Suspect(coro, owner, describe, adopt, coro.close)

    @staticmethod
    def _describe(coro: AnyCoroutine, created: tuple[Frame, ...], owner: OwnerInfo, state: str) -> Finding:
        return Finding(
            rule="UNO201",
            subject=f"coroutine {coro.__qualname__}() was never awaited{state}",
            target=coro.__qualname__,
            created=created,
            waiting_at=(),
            awaited_by=None,
            owner=owner,
        )


def _is_test_machinery(coro: AnyCoroutine) -> bool:
    """Say whether a mock, a pytest plugin or our harness made a coroutine: those are their own business."""
    file = coro.cr_code.co_filename
    mocks = sys.modules.get("unittest.mock")  # most suites have none
    if mocks is not None and file == mocks.__file__:
        return True
    origin = coro.cr_origin
    maker = (origin[0][0] if origin else file).replace(os.sep, "/")
    return (
        "/pytest_asyncio/" in maker
        or maker.endswith("/anyio/pytest_plugin.py")
        or maker.startswith(_HARNESS)
        or file.replace(os.sep, "/").startswith(_HARNESS)
    )
