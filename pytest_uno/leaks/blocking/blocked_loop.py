"""UNO601 blocked-loop: a callback that kept the loop from running for longer than the user allows.

A thread of ours looks at the loop's thread now and then (`lookout`), and counts how long it sees the same callback
(`callback_watch`). It decides while the callback still runs, so that the stack is that of the moment. The loop itself
pays nothing until then.
"""

from __future__ import annotations

import asyncio
import threading
import types
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from pytest_uno.leaks.asyncio_internals import context_of
from pytest_uno.leaks.blocking.callback_watch import CallbackWatch
from pytest_uno.leaks.blocking.lookout import Lookout
from pytest_uno.leaks.blocking.readings import GcPauses, ThreadTimes, read_starved
from pytest_uno.leaks.blocking.stacks import Line, look_at
from pytest_uno.leaks.hook_table import Hook
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Ledger, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["BlockedLoop"]

_LOOKS = 4
"""Looks in the time that a callback may take: one that takes a quarter longer is found for certain."""


class _Block(NamedTuple):
    owner: Owner | None
    lines: tuple[Line, ...]


class BlockedLoop(FurtherDetector):
    """The detector of UNO601.

    Args:
        sites: resolves lines.
        births: knows the test that runs.
        ledger: takes the findings.
        limit: the real seconds that a callback may take; 0 for any number.
    """

    def __init__(self, sites: Sites, births: TaskBirths, ledger: Ledger, limit: float) -> None:
        self._sites = sites
        self._births = births
        self._ledger = ledger
        self._limit = limit
        self._loops: list[asyncio.AbstractEventLoop] = []
        self._blocks: list[_Block] = []
        self._watch: CallbackWatch | None = None
        self._lookout: Lookout | None = None

    def hooks(self) -> tuple[Hook, ...]:
        """Return what runs while uno tests do."""
        if not self._limit:
            return ()
        pauses = GcPauses()
        return (
            Hook("gc.callbacks", "a collection of garbage is nobody's callback", pauses.install),
            Hook(
                "a thread",
                "only another thread sees where the loop's thread is",
                partial(self._begin, pauses),
            ),
        )

    def watch_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at a loop from now on."""
        self._loops.append(loop)
        if self._lookout is not None:
            if self._lookout.is_asleep:
                self._lookout.wake()
            else:
                self._lookout.give_way()

    def unwatch_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at a loop no longer."""
        self._loops.remove(loop)
        if self._watch is not None:
            self._watch.forget()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Hand over the blocks that were seen: each place once for each owner."""
        if self._watch is not None:
            self._watch.settle()
        if self._blocks:
            blocks = dict.fromkeys(self._blocks)
            self._blocks.clear()
            for block in blocks:
                self._ledger.record(block.owner, self._describe(block, judgement.owner))
        return []

    def clear(self) -> None:
        """Let go of everything."""
        self._loops.clear()
        self._blocks.clear()

    def _begin(self, pauses: GcPauses) -> Callable[[], None]:
        thread = threading.get_ident()
        times = ThreadTimes(thread, threading.get_native_id())
        self._watch = watch = CallbackWatch(
            self._limit,
            self._loops,
            partial(look_at, thread, self._sites.is_user),
            read_worked=times.read_worked,
            read_starved=times.read_starved,
            read_own_starved=read_starved,
            read_paused=lambda: pauses.total,
            report=self._note,
        )
        self._lookout = lookout = Lookout(self._limit / _LOOKS, watch.look)
        lookout.start()

        def end() -> None:
            lookout.stop()
            watch.forget()
            self._lookout = self._watch = None

        return end

    def _note(self, handle: types.FrameType, lines: tuple[Line, ...]) -> None:
        """Take note of a callback that has passed the limit; called in our thread, while it runs."""
        context = context_of(handle.f_locals.get("self"))
        owner = None if context is None else context.get(OWNER)
        self._blocks.append(_Block(owner or self._births.current, lines))

    def _describe(self, block: _Block, judged: Owner) -> Finding:
        name = block.lines[-1][0].co_qualname
        return Finding(
            rule="UNO601",
            subject=f"{name}() blocked the event loop",
            target=name,
            created=self._sites.select(block.lines),
            waiting_at=(),
            awaited_by=None,
            owner=OwnerInfo.of(judged),
            details=f"for longer than uno_block_ms = {self._limit * 1000:g}",
        )
