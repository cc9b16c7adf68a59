"""What the detectors share: suspects, whom a judgement is about, and what was recorded between judgements."""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import gc
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from pytest_uno.leaks.hook_table import Hook
from pytest_uno.leaks.model import Finding, OwnerInfo, with_place
from pytest_uno.leaks.owners import Owner

__all__ = [
    "Detector",
    "Explained",
    "FurtherDetector",
    "Judgement",
    "Ledger",
    "Snapshot",
    "Suspect",
    "steps_of",
]


def _is_done(thing: Any) -> bool:
    return isinstance(thing, asyncio.Future) and bool(thing.done())  # pyright: ignore[reportUnknownMemberType]


def _collect_young() -> None:
    if gc.isenabled():
        gc.collect(1)


@dataclasses.dataclass(slots=True, eq=False)
class Suspect:
    """Something that looks like a leak, until the retention rule says whose it is.

    Attributes:
        thing: the object itself.
        owner: its owner; None if that is unknown.
        describe: makes the finding; called while the thing is still as it was found.
        adopt: makes a wider fixture the owner, for later judgements.
        dispose: undoes it after it was described; None where the detection does that for all at once.
    """

    thing: object
    owner: Owner | None
    describe: Callable[[OwnerInfo], Finding]
    adopt: Callable[[Owner], None]
    dispose: Callable[[], None] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """The start of a test; what the detectors remember of it they keep themselves.

    Attributes:
        owner: the test.
    """

    owner: Owner


class Explained(set[int]):
    """Identities of objects, some of which are looked for only when somebody asks whether one is in it."""

    def __init__(self) -> None:
        super().__init__()
        self._later: list[Callable[[], Iterable[int]]] = []

    def add_later(self, find: Callable[[], Iterable[int]]) -> None:
        """Add what takes a search to find.

        Args:
            find: returns the identities; called at most once.
        """
        self._later.append(find)

    def __contains__(self, identity: object) -> bool:
        while self._later:
            self.update(self._later.pop()())
        return super().__contains__(identity)


@dataclasses.dataclass(slots=True)
class Judgement:
    """One judgement: at the end of a test, or of a wider loop.

    Attributes:
        loop: the loop.
        owner: who is blamed for what has no owner of its own.
        loop_ends: whether the loop closes after it, so that nothing on it may go on.
        wider: whether this is the end of a wider loop, where nobody's things are spared.
        young: what a detector asked for among the objects that the test made.
        explained: identities of objects that are a part of something else: the socket of a transport, the timer of a
            pending task. Detectors add to it what they have looked at, open or not, and leave out what is in it.
        descriptors: the numbers of the open descriptors of such things.
        parts: pending tasks that turn out to be a part of another suspect, as the handlers of a connection are, by
            their identities, each with the object of that suspect; which disposes of them.
        generators: suspended async generators that are suspects; what they hold goes with them.
        collect: collects the garbage among the objects that the test made.
    """

    loop: asyncio.AbstractEventLoop
    owner: Owner
    loop_ends: bool
    wider: bool = False
    young: list[object] = dataclasses.field(default_factory=list[object])
    explained: Explained = dataclasses.field(default_factory=Explained)
    descriptors: set[int] = dataclasses.field(default_factory=set[int])
    parts: dict[int, tuple[asyncio.Task[Any], object]] = dataclasses.field(
        default_factory=dict[int, "tuple[asyncio.Task[Any], object]"]
    )
    generators: list[object] = dataclasses.field(default_factory=list[object])
    collect: Callable[[], None] | None = _collect_young

    def collect_garbage(self) -> None:
        """Collect garbage, once: its finalizers may close what looks like a leak, now or whenever the collector runs.

        To be called by those who have a suspect that a finalizer can close; who has none must not pay for it.
        """
        collect, self.collect = self.collect, None
        if collect is not None:
            collect()

    def concerns(self, owner: Owner | None) -> bool:
        """Say whether things of an owner are judged now.

        Args:
            owner: the owner, None for unknown.
        """
        if owner is None:
            return self.loop_ends
        return self.wider or owner.ended or owner is self.owner

    def without_parts(self, suspects: list[Suspect]) -> list[Suspect]:
        """Leave out the suspects that are a part of another one, and tasks that have ended in the grace of others.

        Args:
            suspects: the suspects.
        """
        return [
            suspect
            for suspect in suspects
            if id(suspect.thing) not in self.parts
            and not (suspect.dispose is None and _is_done(suspect.thing))
        ]

    def tasks_of(self, thing: object) -> list[asyncio.Task[Any]]:
        """Return the pending tasks that are a part of a suspect.

        Args:
            thing: the object of the suspect.
        """
        return [task for task, whole in self.parts.values() if whole is thing and not task.done()]

    def concerns_off_loops(self, owner: Owner | None) -> bool:
        """Say whether things that belong to no loop are judged now: the end of a wider loop spares those who go on.

        Args:
            owner: the owner, None for unknown.
        """
        return owner is not None and (owner.ended or owner is self.owner)


class Detector(Protocol):
    """One kind of leak: a look at the start of a test, another at its end."""

    def snapshot(self, owner: Owner) -> None:
        """Take note of the start of a test.

        Args:
            owner: the test.
        """
        ...

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return what looks like a leak.

        Args:
            judgement: whom it is about; its loop is neither running nor closed.
        """
        ...


class FurtherDetector(Detector):
    """A detector that brings its own hooks, and is told about loops and about the end of a test and of the run.

    Each method but `hooks` and `compare` does nothing by default.

    Attributes:
        on_loops: what it watches belongs to loops; False has it asked after the last test of a wider fixture as well,
            with a closed loop.
    """

    on_loops: bool = True

    @abc.abstractmethod
    def hooks(self) -> tuple[Hook, ...]:
        """Return the process-wide hooks that the detector needs; asked once, before the first test."""

    def watch_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note of a loop whose tests are judged from now on."""

    def unwatch_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Undo `watch_loop`."""

    def snapshot(self, owner: Owner) -> None:
        """Take note of the start of a test."""

    def forget_test(self) -> None:
        """Let go of what only the test that was judged needed."""

    def clear(self) -> None:
        """Let go of everything: the run is over."""


def steps_of(detectors: Iterable[Detector], step: str) -> tuple[Callable[..., None], ...]:
    """Return a step of those detectors that do something in it: most steps of most are empty, and each test asks all.

    Args:
        detectors: the detectors.
        step: a method that returns nothing, of `FurtherDetector`.
    """
    empty = getattr(FurtherDetector, step)
    return tuple(getattr(each, step) for each in detectors if getattr(type(each), step) is not empty)


class _Entry(NamedTuple):
    owner: Owner | None
    finding: Finding
    is_settled: Callable[[], bool] | None = None


class Ledger:
    """Findings that came up by themselves, at a moment when nobody judged."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def record(
        self, owner: Owner | None, finding: Finding, *, is_settled: Callable[[], bool] | None = None
    ) -> None:
        """Note a finding.

        Args:
            owner: whose it is; None if that is unknown.
            finding: the finding; its owner is filled in here.
            is_settled: says, when the finding is about to be reported, that it is none any more.
        """
        if owner is not None:
            finding = dataclasses.replace(finding, owner=OwnerInfo.of(owner))
        self._entries.append(_Entry(owner, finding, is_settled))

    def take(self, judgement: Judgement) -> list[Finding]:
        """Remove and return the findings that a judgement is about.

        Args:
            judgement: whom it is about; what has no owner is its owner's.
        """
        if not self._entries:
            return []
        taken: list[Finding] = []
        kept: list[_Entry] = []
        for entry in self._unsettled():
            owner, finding = entry.owner, entry.finding
            if owner is None:
                taken.append(dataclasses.replace(finding, owner=OwnerInfo.of(judgement.owner)))
            elif owner.ended or owner is judgement.owner:
                taken.append(finding)
            else:
                kept.append(entry)
        self._entries = kept
        return taken

    def of(self, owner: Owner) -> list[Finding]:
        """Return what would be blamed on an owner now, and keep it.

        Args:
            owner: the owner; what has none is its.
        """
        return [
            with_place(dataclasses.replace(entry.finding, owner=OwnerInfo.of(owner)))
            for entry in self._unsettled()
            if entry.owner is None or entry.owner is owner
        ]

    def forget_ended_tests(self) -> None:
        """Drop what belongs to tests that are over: for want of a judge of their own."""
        self._entries = [
            entry
            for entry in self._entries
            if entry.owner is None or entry.owner.kind != "test" or not entry.owner.ended
        ]

    def take_all(self) -> list[Finding]:
        """Remove and return all findings."""
        taken = [entry.finding for entry in self._unsettled()]
        self._entries = []
        return taken

    def _unsettled(self) -> list[_Entry]:
        return [entry for entry in self._entries if entry.is_settled is None or not entry.is_settled()]
