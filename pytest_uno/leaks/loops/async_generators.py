"""UNO202 open-asyncgen: an async generator that was begun and then left where it stood.

A loop is told by the interpreter of each generator that begins, and of each that goes before its end. The second
closes it, but in a task of its own and some time later, when whatever the generator worked with may be gone: what has
a `finally` must be closed by whoever uses it. A dropped one is recorded as it goes, since nobody can find it later.

An exception that passes through an `async for` drops its generator as well, as does a generator that is closed with
those it iterates. Nobody has left those; they are not reported. The instruction at which the generator went tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import dis
import functools
import gc
import sys
import types
import weakref
from collections.abc import Callable
from typing import NamedTuple

from pytest_uno.leaks.asyncio_internals import (
    AsyncGenerator,
    closes_generator,
    forget_exception,
    is_open_generator,
)
from pytest_uno.leaks.followers import ending_followers
from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Ledger, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.retention import find_retained, walk
from pytest_uno.leaks.settling import can_turn, reap, settle_by_turns, turn
from pytest_uno.leaks.sites import Site, Sites
from pytest_uno.leaks.tasks.task_births import AnyTask, TaskBirths

__all__ = ["OpenGenerators"]

_NEARBY = 100
"""Objects around a generator among which those that it iterates are looked for."""

_LEAVING = frozenset({"POP_TOP", "POP_ITER"})
"""The instructions with which `break` and `return` leave a loop; neither can raise."""

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


class _Begun(NamedTuple):
    ref: weakref.ref[AsyncGenerator]
    owner: Owner
    site: Site
    code: types.CodeType
    """Whose frame has begun it."""
    offset: int
    """Of its instruction there."""


class OpenGenerators(FurtherDetector):
    """The detector of UNO202.

    Args:
        sites: records and resolves the sites.
        births: knows the tasks, and the test that runs.
        ledger: takes the dropped ones as they go.
    """

    def __init__(self, sites: Sites, births: TaskBirths, ledger: Ledger) -> None:
        self._sites = sites
        self._births = births
        self._ledger = ledger
        # By identity: weak references are dead already when a generator is finalised.
        self._begun: dict[int, _Begun] = {}
        self._has_dropped = False

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of every loop."""
        return (
            replace_attribute(
                asyncio.BaseEventLoop,
                "_asyncgen_firstiter_hook",
                self._wrap_first_iteration,
                reason="a running loop hands it to the interpreter, which calls it for each generator that begins",
            ),
            replace_attribute(
                asyncio.BaseEventLoop,
                "_asyncgen_finalizer_hook",
                self._wrap_finalizer,
                reason="a running loop hands it to the interpreter, which calls it for each generator that is dropped",
            ),
        )

    def forget_test(self) -> None:
        """Let go of the generators that have gone."""
        self._has_dropped = False
        if self._begun:
            self._begun = {key: begun for key, begun in self._begun.items() if begun.ref() is not None}

    def clear(self) -> None:
        """Let go of everything."""
        self._begun.clear()
        self._has_dropped = False

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the generators that are suspended and that no task holds."""
        if self._has_dropped:
            with ending_followers(judgement, self._births):
                self._let_close(judgement.loop)
        if not self._begun:
            return []
        found = self._suspended(judgement)
        if not found:
            return []
        found = self._without_held(found, judgement.loop)
        judgement.generators += [generator for generator, _ in found]
        return [self._suspect(judgement.loop, generator, begun) for generator, begun in found]

    def _suspended(self, judgement: Judgement) -> list[tuple[AsyncGenerator, _Begun]]:
        return [
            (generator, begun)
            for begun in list(self._begun.values())
            if judgement.concerns(begun.owner)
            and (generator := begun.ref()) is not None
            and is_open_generator(judgement.loop, generator)
            and not generator.ag_running
        ]

    def _without_held(
        self, found: list[tuple[AsyncGenerator, _Begun]], loop: asyncio.AbstractEventLoop
    ) -> list[tuple[AsyncGenerator, _Begun]]:
        """Leave out what pending tasks hold, and what another generator iterates."""
        running = [self._births.coroutine(task) for task in asyncio.all_tasks(loop)]
        held = set(find_retained((generator for generator, _ in found), {"tasks": running}))
        for generator, _ in found:
            if id(generator) not in held:
                near = walk(gc.get_referents(generator), limit=_NEARBY)
                held |= {id(item) for item in near if item is not generator and _is_generator(item)}
        return [pair for pair in found if id(pair[0]) not in held]

    def _wrap_first_iteration(self, begin: Callable[..., object]) -> Callable[..., object]:
        capture, owner_of = self._sites.capture, OWNER.get

        @functools.wraps(begin)
        def begin_and_remember(loop: asyncio.AbstractEventLoop, generator: AsyncGenerator) -> object:
            owner = owner_of()
            # Without any of the user's frames it is a fixture, which its host runs, or a library's own.
            if owner is not None and (site := capture()):
                frame = _getframe(1)
                ref = weakref.ref(generator)
                self._begun[id(generator)] = _Begun(ref, owner, site, frame.f_code, frame.f_lasti)
            return begin(loop, generator)

        return begin_and_remember

    def _wrap_finalizer(self, finalize: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(finalize)
        def record_and_finalize(loop: asyncio.AbstractEventLoop, generator: AsyncGenerator) -> object:
            begun = self._begun.pop(id(generator), None)
            if begun is not None and not self._is_innocent(begun, generator, _getframe(1)):
                finding = self._describe(generator, begun.site, OwnerInfo.of(begun.owner))
                self._ledger.record(begun.owner, finding)
            self._has_dropped = True
            return finalize(loop, generator)

        return record_and_finalize

    def _is_innocent(self, begun: _Begun, generator: AsyncGenerator, dropper: types.FrameType) -> bool:
        """Say whether an exception has dropped a generator, or a library one of its own."""
        if not any(self._sites.is_user(code.co_filename) for code in (begun.code, generator.ag_code)):
            return begun.code.co_filename != contextlib.__file__
        if dropper.f_code is not begun.code or _instruction(begun.code, begun.offset) != "GET_ANEXT":
            return False
        return _instruction(dropper.f_code, dropper.f_lasti) not in _LEAVING

    def _let_close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the loop close what was dropped: it is reported, and must not touch the next test."""

        def closing() -> list[AnyTask]:
            return [
                task for task in asyncio.all_tasks(loop) if closes_generator(self._births.coroutine(task))
            ]

        if can_turn(loop):
            turn(loop)  # the task is made in the turn after the drop
        reap(loop, settle_by_turns(loop, closing))

    def _suspect(self, loop: asyncio.AbstractEventLoop, generator: AsyncGenerator, begun: _Begun) -> Suspect:
        def describe(owner: OwnerInfo) -> Finding:
            return self._describe(generator, begun.site, owner)

        def adopt(owner: Owner) -> None:
            self._begun[id(generator)] = begun._replace(owner=owner)

        def dispose() -> None:
            self._begun.pop(id(generator), None)
            if not loop.is_closed():
                task = loop.create_task(_close(generator))
                settle_by_turns(loop, lambda: [] if task.done() else [task])
                if task.done():
                    forget_exception(task)
                else:
                    reap(loop, [task])

        return Suspect(generator, begun.owner, describe, adopt, dispose)

    def _describe(self, generator: AsyncGenerator, site: Site, owner: OwnerInfo) -> Finding:
        return Finding(
            rule="UNO202",
            subject=f"async generator {generator.__qualname__}() was left suspended",
            target=generator.__qualname__,
            created=self._sites.resolve(site),
            waiting_at=(),
            awaited_by=None,
            owner=owner,
        )


async def _close(generator: AsyncGenerator) -> None:
    await generator.aclose()


def _is_generator(item: object) -> bool:
    return isinstance(item, types.AsyncGeneratorType)


def _instruction(code: types.CodeType, offset: int) -> str:
    names: list[str] = dis.opname
    return names[code.co_code[offset]]
