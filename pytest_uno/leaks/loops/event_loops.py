"""UNO205 event-loop: a loop that somebody made and nobody closed.

A loop that is running belongs to the thread that runs it, and so does one whose thread is not done with it:
`asyncio.run` in a thread closes its loop at the very end. The loops of the harness and of pytest plugins are made
without any of the user's frames, or outside of every owner.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import threading
import types
import weakref
from collections.abc import Callable
from time import sleep  # here, so that a test which replaces the module's does not keep us from waiting
from typing import Any

from pytest_uno.clock.real_time import monotonic
from pytest_uno.core.thread_frames import current_frames
from pytest_uno.leaks.asyncio_internals import wheels_of
from pytest_uno.leaks.creations import Creation, Creations
from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Ledger, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.settling import can_turn, reap
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["EventLoops"]

_GRACE = 0.02
"""Real seconds that a thread gets to close its loop."""

_ASYNCIO = os.path.dirname(asyncio.__file__) + os.sep

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)

AnyLoop = asyncio.BaseEventLoop


class EventLoops(FurtherDetector):
    """The detector of UNO205.

    Args:
        sites: records and resolves the sites.
        births: knows the test that runs.
        ledger: takes loops that are collected before they were closed.
    """

    on_loops = False  # a loop is on no loop

    def __init__(self, sites: Sites, births: TaskBirths, ledger: Ledger) -> None:
        self._sites = sites
        self._births = births
        self._ledger = ledger
        self._made: Creations[AnyLoop] = Creations(sites, lambda: births.current, self._record_dropped)
        self._threads: weakref.WeakKeyDictionary[AnyLoop, threading.Thread] = weakref.WeakKeyDictionary()

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of every loop that derives from asyncio's."""
        return (
            replace_attribute(
                asyncio.BaseEventLoop,
                "__init__",
                self._wrap_init,
                reason="nobody else sees each loop that is made, and where",
            ),
            replace_attribute(
                asyncio.BaseEventLoop,
                "close",
                self._wrap_close,
                reason="a loop that is collected does not tell any more whether it was closed",
            ),
        )

    def watch_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget a loop of the harness."""
        self._made.forget(loop)

    def clear(self) -> None:
        """Let go of everything."""
        self._made.clear()
        self._threads.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the open loops that nobody runs; their wheels are a part of them."""
        if not len(self._made):
            return []
        for loop, creation in self._made.living():
            if loop.is_closed():  # by a class that does not call ours
                self._made.forget(loop)
            else:
                judgement.explained.update(map(id, wheels_of(loop)))
                if _is_judged(creation.owner, judgement) and self._is_users(creation):
                    self._wait_for_thread(loop)
        return [
            self._suspect(loop, creation)
            for loop, creation in self._made.living()
            if _is_judged(creation.owner, judgement)
            and self._is_users(creation)
            and not loop.is_closed()
            and not self._is_at_work(loop)
        ]

    def _wrap_init(self, init: Callable[..., None]) -> Callable[..., None]:
        owner_of, births, made, threads = OWNER.get, self._births, self._made, self._threads
        sites = self._sites

        @functools.wraps(init)
        def init_and_remember(loop: AnyLoop, *args: Any, **kwargs: Any) -> None:
            init(loop, *args, **kwargs)
            if births.current is not None or owner_of() is not None:
                made.note(loop, sites.capture(_maker_of_loop()))
                threads[loop] = threading.current_thread()

        return init_and_remember

    def _wrap_close(self, close: Callable[..., None]) -> Callable[..., None]:
        made = self._made

        @functools.wraps(close)
        def close_and_forget(loop: AnyLoop) -> None:
            close(loop)
            made.forget(loop)

        return close_and_forget

    def _is_users(self, creation: Creation[AnyLoop]) -> bool:
        return self._sites.is_user(creation.site[0].co_filename)

    def _is_at_work(self, loop: AnyLoop) -> bool:
        """Say whether a thread runs a loop, or is going to: the thread is to blame for it then."""
        if loop.is_running():
            return True
        thread = self._threads.get(loop)
        if thread is None or thread is threading.current_thread() or thread.ident is None:
            return False
        frame = current_frames().get(thread.ident)
        while frame is not None:  # an idle worker of a pool has none of these
            file = frame.f_code.co_filename
            if file.startswith(_ASYNCIO) or self._sites.is_user(file):
                return True
            frame = frame.f_back
        return False

    def _wait_for_thread(self, loop: AnyLoop) -> None:
        end = monotonic() + _GRACE
        while self._is_at_work(loop) and monotonic() < end:
            sleep(0.001)

    def _record_dropped(self, creation: Creation[AnyLoop]) -> None:
        if creation.owner is not None and self._is_users(creation):
            self._ledger.record(creation.owner, self._describe(creation, OwnerInfo.of(creation.owner)))

    def _suspect(self, loop: AnyLoop, creation: Creation[AnyLoop]) -> Suspect:
        def describe(owner: OwnerInfo) -> Finding:
            return self._describe(creation, owner)

        def adopt(owner: Owner) -> None:
            creation.owner = owner

        def dispose() -> None:
            if can_turn(loop):
                reap(loop, asyncio.all_tasks(loop))
                loop.close()
            self._made.forget(loop)

        return Suspect(loop, creation.owner, describe, adopt, dispose)

    def _describe(self, creation: Creation[AnyLoop], owner: OwnerInfo) -> Finding:
        return Finding(
            rule="UNO205",
            subject="event loop was not closed",
            target="event loop",
            created=self._sites.resolve(creation.site),
            waiting_at=(),
            awaited_by=None,
            owner=owner,
        )


def _maker_of_loop() -> types.FrameType:
    """Return the innermost frame outside of asyncio; `events.py` usually ends the user's part of a stack."""
    frame = _getframe(2)
    while frame.f_code.co_filename.startswith(_ASYNCIO) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _is_judged(owner: Owner | None, judgement: Judgement) -> bool:
    """Say whether an owner has ended: a loop is on no loop, so that the end of a wider one spares those who go on."""
    return owner is not None and (owner.ended or owner is judgement.owner)
