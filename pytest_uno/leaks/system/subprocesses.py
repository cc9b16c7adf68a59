"""UNO403 subprocess: a process that somebody has started and nobody has waited for.

asyncio waits for its processes by itself while their loop runs, so that only those that go on are leaks; one that was
told to end gets a moment. A `subprocess.Popen` needs somebody who waits for it: one that has ended is a zombie until
then. The pipes of a process are a part of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from pytest_uno.leaks.asyncio_internals import warning_sink
from pytest_uno.leaks.creations import Creation, Creations
from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Ledger, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.network.transport_internals import (
    ASYNC_PROCESS,
    is_running,
    loop_of,
    popen_of,
    program_of,
)
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.settling import settle_in_time
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.tasks.held_by_tasks import HeldByTasks
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["OpenProcesses"]

_DYING = 0.25
"""Real seconds that a process gets that was told to end."""

AnyProcess: TypeAlias = "asyncio.SubprocessTransport | subprocess.Popen[Any]"


class OpenProcesses(FurtherDetector):
    """The detector of UNO403.

    Args:
        sites: records and resolves the sites.
        births: knows the tasks, and the test that runs.
        ledger: takes processes that are dropped before somebody has waited for them.
    """

    on_loops = False

    def __init__(self, sites: Sites, births: TaskBirths, ledger: Ledger) -> None:
        self._sites = sites
        self._births = births
        self._ledger = ledger
        self._made: Creations[AnyProcess] = Creations(sites, lambda: births.current, by_finalizer=True)
        self._held = HeldByTasks(births, _kill)
        self._signalled: set[int] = set()
        self._sink: object = None

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of both kinds of processes."""
        made = "nobody else sees each process that is started, and where"
        dropped = "only its finalizer knows whether it was dropped before somebody has waited for it"
        told = "a process that was told to end needs a moment for it"
        return (
            replace_attribute(subprocess.Popen, "__init__", self._wrap_init, reason=made),
            replace_attribute(subprocess.Popen, "__del__", self._wrap_finalizer, reason=dropped),
            replace_attribute(ASYNC_PROCESS, "__init__", self._wrap_init, reason=made),
            replace_attribute(ASYNC_PROCESS, "__del__", self._wrap_finalizer, reason=dropped),
            *(
                replace_attribute(ASYNC_PROCESS, name, self._wrap_signal, reason=told)
                for name in ("send_signal", "terminate", "kill")
            ),
        )

    def snapshot(self, owner: Owner) -> None:
        """Take note of what receives the warnings of a test."""
        self._sink = warning_sink()

    def forget_test(self) -> None:
        """End the processes of leaked tasks."""
        self._held.forget_test()

    def clear(self) -> None:
        """Let go of everything."""
        self._made.clear()
        self._held.clear()
        self._signalled.clear()

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the processes that nobody has waited for; the pipes of all are a part of them."""
        if not len(self._made):
            return []
        for process, _ in self._made.living():
            popen = process if isinstance(process, subprocess.Popen) else popen_of(process)
            for pipe in () if popen is None else (popen.stdin, popen.stdout, popen.stderr):
                if pipe is not None:
                    judgement.explained.add(id(pipe))
                    if not pipe.closed:
                        judgement.descriptors.add(pipe.fileno())
        if judgement.loop_ends:
            # What its transport has killed is waited for, as long as there is a loop for it.
            settle_in_time(judgement.loop, lambda: self._closing(judgement.loop), seconds=_DYING)
        if self._open(judgement):
            judgement.collect_garbage()
        found = settle_in_time(judgement.loop, lambda: self._open(judgement))
        if any(id(process) in self._signalled for process, _ in found):
            settle_in_time(judgement.loop, lambda: self._open(judgement, signalled=True), seconds=_DYING)
            found = self._open(judgement)
        held = self._held.find([process for process, _ in found], judgement)
        return [self._suspect(process, creation) for process, creation in found if id(process) not in held]

    def _open(
        self, judgement: Judgement, *, signalled: bool = False
    ) -> list[tuple[AnyProcess, Creation[AnyProcess]]]:
        return [
            (process, creation)
            for process, creation in self._made.living()
            if _is_left(process)
            and self._is_judged(process, creation, judgement)
            and (not signalled or id(process) in self._signalled)
            and id(process) not in judgement.explained
        ]

    def _closing(self, loop: asyncio.AbstractEventLoop) -> list[AnyProcess]:
        return [
            process
            for process, _ in self._made.living()
            if isinstance(process, asyncio.SubprocessTransport)
            and loop_of(process) is loop
            and process.is_closing()
            and process.get_returncode() is None
        ]

    @staticmethod
    def _is_judged(process: AnyProcess, creation: Creation[AnyProcess], judgement: Judgement) -> bool:
        if not isinstance(process, subprocess.Popen) and loop_of(process) is judgement.loop:
            return judgement.concerns(creation.owner)
        return judgement.concerns_off_loops(creation.owner)

    def _wrap_init(self, init: Callable[..., None]) -> Callable[..., None]:
        births, sites, made = self._births, self._sites, self._made

        @functools.wraps(init)
        def init_and_remember(process: AnyProcess, *args: Any, **kwargs: Any) -> None:
            init(process, *args, **kwargs)
            if births.current is None and OWNER.get() is None:
                return
            if not isinstance(process, subprocess.Popen):
                made.take(popen_of(process))
            site = sites.capture()
            if site:  # without any of the user's frames it is a library's own affair
                made.note(process, site)

        return init_and_remember

    def _wrap_finalizer(self, finalize: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(finalize)
        def record_and_finalize(process: AnyProcess, *args: Any, **kwargs: Any) -> None:
            creation = self._made.take(process)
            self._signalled.discard(id(process))
            if creation is not None and creation.owner is not None and _is_left(process):
                acknowledged = self._births.current is not None and warning_sink() is not self._sink
                if not acknowledged:
                    finding = self._describe(process, creation, OwnerInfo.of(creation.owner))
                    self._ledger.record(creation.owner, finding)
            finalize(process, *args, **kwargs)

        return record_and_finalize

    def _wrap_signal(self, send: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(send)
        def note_and_send(process: asyncio.SubprocessTransport, *args: Any) -> None:
            if self._made.get(process) is not None:
                self._signalled.add(id(process))
            send(process, *args)

        return note_and_send

    def _suspect(self, process: AnyProcess, creation: Creation[AnyProcess]) -> Suspect:
        def describe(owner: OwnerInfo) -> Finding:
            return self._describe(process, creation, owner)

        def adopt(owner: Owner) -> None:
            creation.owner = owner

        def dispose() -> None:
            self._made.take(process)
            _kill(process)

        return Suspect(process, creation.owner, describe, adopt, dispose)

    def _describe(self, process: AnyProcess, creation: Creation[AnyProcess], owner: OwnerInfo) -> Finding:
        popen = process if isinstance(process, subprocess.Popen) else popen_of(process)
        program = program_of(popen)
        return Finding(
            rule="UNO403",
            subject=f"process {program!r} was not waited for",
            target=program,
            created=self._sites.resolve(creation.site),
            waiting_at=(),
            awaited_by=None,
            owner=owner,
        )


def _is_left(process: AnyProcess) -> bool:
    if isinstance(process, subprocess.Popen):
        # Without a child there is nothing to wait for: its constructor has failed.
        return process.returncode is None and getattr(process, "pid", None) is not None
    return is_running(process)


def _kill(process: AnyProcess) -> None:
    """End a process, close its pipes and let whoever waits for it see that; in bounded time."""
    if isinstance(process, subprocess.Popen):
        _kill_popen(process)
        return
    loop = loop_of(process)
    if loop is None or loop.is_closed():
        _kill_popen(cast("subprocess.Popen[bytes]", popen_of(process)))  # without one it would not be left
        # Nobody will tell the transport of the end, and a later test would get its ResourceWarning. Its pipes
        # may want the loop.
        with contextlib.suppress(RuntimeError):
            process.close()
        return
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    settle_in_time(loop, lambda: [process] if is_running(process) else [], seconds=_DYING, sleep=time.sleep)
    process.close()


def _kill_popen(popen: subprocess.Popen[Any]) -> None:
    popen.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        popen.wait(timeout=_DYING)
    for pipe in (popen.stdin, popen.stdout, popen.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
