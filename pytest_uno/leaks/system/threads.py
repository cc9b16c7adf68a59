"""UNO407 thread: a thread that still runs when its owner has ended.

A thread knows from its start on whose it is, so that what it makes has an owner, too. The workers of pools belong to
them, and those of aiosqlite, anyio and multiprocessing to an object of theirs.
"""

from __future__ import annotations

import contextvars
import functools
import re
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from time import sleep  # here, so that a test which replaces the module's does not keep us from waiting
from typing import Any

from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.retention import find_retained
from pytest_uno.leaks.settling import can_turn, turn
from pytest_uno.leaks.sites import Site, Sites
from pytest_uno.leaks.system.executors import Executors
from pytest_uno.leaks.system.thread_origins import ThreadOrigins, is_made_by_import
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["Threads"]

_NAP = 0.001
_NAPS = 60
"""Real seconds between two looks at threads that may be ending, and the number of looks."""

_EXPLAINED = ("aiosqlite", "anyio", "asyncio", "concurrent", "multiprocessing", "subprocess")
"""Packages whose threads are a part of an object of theirs: a connection, a process, a pool."""

_AUTOMATIC_NAME = re.compile(r"Thread-\d+( \(.*\))?")

_ATTRIBUTE = "_pytest_uno_start"

_HOLDER_LIMIT = 2_000
"""Objects of a library that are looked at for a thread that it keeps."""

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


@dataclass(slots=True, eq=False)
class _Start:
    """The start of a thread.

    Attributes:
        ref: a weak reference to the thread.
        owner: whose it is.
        site: where it was started.
        starter: the name of the module that did it.
        pool: a weak reference to the executor whose worker it is; None if it is none.
    """

    ref: weakref.ref[threading.Thread]
    owner: Owner
    site: Site
    starter: str
    pool: weakref.ref[Any] | None


class Threads(FurtherDetector):
    """The detector of UNO407.

    Args:
        sites: records and resolves the sites.
        births: knows the test that runs.
        origins: is told where threads come from.
        executors: knows the pools.
    """

    on_loops = False

    def __init__(
        self, sites: Sites, births: TaskBirths, origins: ThreadOrigins, executors: Executors
    ) -> None:
        self._sites = sites
        self._births = births
        self._origins = origins
        self._executors = executors
        self._starts: list[_Start] = []

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of every thread."""
        return (
            replace_attribute(
                threading.Thread,
                "start",
                self._wrap_start,
                reason="a thread does not tell who started it, and where",
            ),
            replace_attribute(
                threading.Thread,
                "_bootstrap_inner",
                self._wrap_bootstrap,
                reason="a thread inherits no owner: only code that it runs first can name one",
            ),
        )

    def clear(self) -> None:
        """Let go of everything."""
        self._starts.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the threads that run on."""
        if not self._starts:
            return []
        suspects = self._find(judgement)
        for _ in range(_NAPS):  # counted, not timed: a busy machine keeps the threads from ending as well
            if not suspects:
                break
            sleep(_NAP)
            if can_turn(judgement.loop):
                turn(judgement.loop)  # a thread may wait for it
            suspects = self._find(judgement)
        return [self._suspect(thread, start) for thread, start in suspects]

    def _find(self, judgement: Judgement) -> list[tuple[threading.Thread, _Start]]:
        found: list[tuple[threading.Thread, _Start]] = []
        kept: list[_Start] = []
        for start in self._starts:
            thread = start.ref()
            if thread is None or not thread.is_alive():
                continue
            kept.append(start)
            if (
                (start.owner.ended or start.owner is judgement.owner)
                and thread is not threading.current_thread()
                and id(thread) not in judgement.explained
                and not self._is_explained(thread, start)
            ):
                found.append((thread, start))
        self._starts = kept
        return found

    def _is_explained(self, thread: threading.Thread, start: _Start) -> bool:
        if start.pool is not None:
            pool = start.pool()
            return pool is not None and self._executors.is_at_work(pool)
        if _is_of_library(thread) or is_made_by_import(start.site):
            return True
        return thread.daemon and self._is_kept_by_library(thread, start)

    def _is_kept_by_library(self, thread: threading.Thread, start: _Start) -> bool:
        """Say whether a library has started a thread for the whole process, as the monitor of a progress bar."""
        names = {start.starter, type(thread).__module__, _module_of_target(thread)} - {"threading"}
        values: list[object] = []
        for name in names:
            module = sys.modules.get(name)
            file = getattr(module, "__file__", None)
            if module is not None and file is not None and not self._sites.is_user(file):
                for value in list(vars(module).values()):
                    values.append(value)
                    if isinstance(value, type) and value.__module__ == name:
                        values += vars(value).values()
        return bool(find_retained([thread], {"library": values}, limit=_HOLDER_LIMIT))

    def _wrap_start(self, start: Callable[..., None]) -> Callable[..., None]:
        owner_of, births, origins = OWNER.get, self._births, self._origins

        @functools.wraps(start)
        def start_and_remember(thread: threading.Thread) -> None:
            __tracebackhide__ = True
            owner = owner_of() or births.current
            pool = origins.pool
            if owner is None or (pool is not None and self._executors.is_of_loop(pool)):
                return start(thread)
            site = origins.capture(self._sites)
            if not site:  # the thread of a plugin or of a debugger
                return start(thread)
            starter = str(_getframe(1).f_globals.get("__name__"))
            known = _Start(
                weakref.ref(thread), owner, site, starter, None if pool is None else weakref.ref(pool)
            )
            vars(thread)[_ATTRIBUTE] = known
            _name_owner_in_context(thread, owner)
            start(thread)
            self._starts.append(known)
            return None

        return start_and_remember

    def _wrap_bootstrap(self, bootstrap: Callable[..., None]) -> Callable[..., None]:
        origins = self._origins

        @functools.wraps(bootstrap)
        def bootstrap_as_owner(  # pragma: no cover - a thread is traced only from within its bootstrap on
            thread: threading.Thread,
        ) -> None:
            known: _Start | None = vars(thread).get(_ATTRIBUTE)
            if known is not None:
                OWNER.set(known.owner)
                origins.site = known.site
            bootstrap(thread)

        return bootstrap_as_owner

    def _suspect(self, thread: threading.Thread, start: _Start) -> Suspect:
        if start.pool is None:
            target = _target_of(thread)
            shown = "thread" if _AUTOMATIC_NAME.fullmatch(thread.name) else f"thread {thread.name!r}"
            subject = f"{shown} running {target}() has not ended"
        else:
            target = "executor"
            subject = "thread of an executor that was shut down has not ended its work"

        def describe(owner: OwnerInfo) -> Finding:
            return Finding(
                rule="UNO407",
                subject=subject,
                target=target,
                created=self._sites.resolve(start.site),
                waiting_at=(),
                awaited_by=None,
                owner=owner,
            )

        def adopt(owner: Owner) -> None:
            start.owner = owner

        def dispose() -> None:
            self._starts = [each for each in self._starts if each is not start]
            if isinstance(thread, threading.Timer):
                thread.cancel()  # nothing ends another thread

        return Suspect(thread, start.owner, describe, adopt, dispose)


def _name_owner_in_context(thread: threading.Thread, owner: Owner) -> None:
    """Name the owner in the context that a thread will run in, where it has one (3.14).

    A context that its maker has given to it, or that it inherits, knows the owner if anybody does.
    """
    inherits = getattr(sys.flags, "thread_inherit_context", False)
    if getattr(thread, "_context", owner) is None and not inherits:  # pragma: no cover - 3.14 and newer
        context = contextvars.Context()
        context.run(OWNER.set, owner)
        thread._context = context  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def _module_of_target(thread: threading.Thread) -> str:
    return getattr(getattr(thread, "_target", None), "__module__", None) or ""


def _is_of_library(thread: threading.Thread) -> bool:
    modules = (type(thread).__module__, _module_of_target(thread))
    return any(module.partition(".")[0] in _EXPLAINED for module in modules)


def _target_of(thread: threading.Thread) -> str:
    """Return the qualified name of what a thread runs."""
    function = getattr(thread, "function" if isinstance(thread, threading.Timer) else "_target", None)
    while isinstance(function, functools.partial):
        function = function.func
    if function is None:
        return f"{type(thread).__qualname__}.run"
    return getattr(function, "__qualname__", None) or type(function).__qualname__
