"""All leak detectors of one test run, behind one face for the harness.

A judgement goes in steps, whose order matters:

1. Pending tasks get a moment's grace; while the loop turns, errors and dropped coroutines go to the ledger.
2. The young objects are searched for coroutines and failed futures. Only if there are any, the young
   garbage is collected: what goes reports itself, what stays is a suspect.
3. The retention rule takes out what a live wider fixture still holds.
4. What is left is described, then disposed of. Whatever that stirs up again is dropped: it is the same leak.

Nothing here is thread-safe: the thread that runs the tests calls all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from pytest_uno.leaks.catalogue import DetectorFactory, make_further_detectors
from pytest_uno.leaks.followers import ending_followers
from pytest_uno.leaks.hooks import hook_table
from pytest_uno.leaks.ignored_objects import IgnoredObjects
from pytest_uno.leaks.inquiry import LEFT_BY
from pytest_uno.leaks.judging import Detector, Judgement, Ledger, Snapshot, Suspect, steps_of
from pytest_uno.leaks.loops.coroutines import AnyCoroutine, NeverAwaited
from pytest_uno.leaks.loops.loop_errors import LoopErrors
from pytest_uno.leaks.model import Finding, OwnerInfo, with_place
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.retention import find_retained, walk
from pytest_uno.leaks.settling import reap, settle_in_threads
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.state.contexts import Contexts
from pytest_uno.leaks.state.resources import OpenResources
from pytest_uno.leaks.tasks.pending_tasks import PendingTasks
from pytest_uno.leaks.tasks.task_births import AnyTask, TaskBirths, TaskWatch
from pytest_uno.leaks.tasks.task_exceptions import UnretrievedExceptions
from pytest_uno.leaks.young_objects import YoungObjects, is_generational, objects_of

__all__ = ["LeakDetection", "Snapshot"]

_IGNORED = "It ignored its cancellation, and was left running."


class LeakDetection:
    """The detectors of one test run.

    Args:
        root: the folder that files are named relative to.
        block_ms: real milliseconds for which a callback may block a loop; 0 for any number.
        others: make the detectors of higher layers.

    Attributes:
        ignored: what is never reported.
        ledger: what came up by itself and is not judged yet.

    Example:
        >>> detection = LeakDetection(root=Path.cwd())
        >>> loop = asyncio.new_event_loop()
        >>> detection.install()
        >>> detection.watch_loop(loop)
        >>> owner = Owner("test", "test_x")
        >>> snapshot = detection.snapshot(owner)
        >>> task = loop.create_task(asyncio.sleep(9))
        >>> [finding.rule for finding in detection.compare(snapshot, loop, loop_ends=True)]
        ['UNO101']
        >>> detection.remove()
        >>> loop.close()
    """

    def __init__(self, *, root: Path, block_ms: float = 0.0, others: Iterable[DetectorFactory] = ()) -> None:
        self.ignored = IgnoredObjects()
        self._sites = Sites(root)
        self.ledger = Ledger()
        self._births = TaskBirths(self._sites)
        self._tasks = PendingTasks(self._sites, self._births, self.ledger)
        self._watches: dict[asyncio.AbstractEventLoop, TaskWatch] = {}
        self._exceptions = UnretrievedExceptions(self._sites, self._births, self.ledger, self._watches.get)
        self._loop_errors = LoopErrors(self._sites, self._births, self.ledger)
        self._coroutines = NeverAwaited(self._sites, self.ledger)
        self._resources = OpenResources(self._sites)
        self._further = make_further_detectors(self._sites, self._births, self.ledger, block_ms, others)
        self.contexts = next(each for each in self._further if isinstance(each, Contexts))
        self._detectors: tuple[Detector, ...] = (
            self._tasks,  # first: its grace lets the others see what is there in the end
            self._exceptions,
            self._loop_errors,
            self._coroutines,
            self._resources,
            *self._further,
        )
        self._snapshots = steps_of(self._detectors, "snapshot")
        self._loop_starts = steps_of(self._further, "watch_loop")
        self._loop_ends = steps_of(self._further, "unwatch_loop")
        self._test_ends = steps_of((self._coroutines, self._resources, *self._further), "forget_test")
        self._hooks = hook_table(
            self._coroutines, self._resources, [hook for each in self._further for hook in each.hooks()]
        )
        self._young_kinds = self._exceptions.young_kinds | self._coroutines.young_kinds
        self._young = YoungObjects(self._young_kinds)
        self._off_loops = (self._resources, *(each for each in self._further if not each.on_loops))
        self._holders: dict[Owner, list[object]] = {}
        self._has_ended_fixtures = self._has_new_holders = self._has_unjudged = False
        # Code has run that was not that of a test that is judged: of wider fixtures, of tests that are not.
        self._is_after_others = True

    def install(self) -> None:
        """Put the process-wide hooks in; does nothing if they are in."""
        if self._hooks.installed:
            return
        self._young = YoungObjects(self._young_kinds, generational=is_generational())
        self._excuse(objects_of(self._young_kinds))
        self._hooks.install()

    def remove(self) -> None:
        """Take every hook out again and let go of every loop; does nothing if there is nothing to do."""
        self._young.close()
        for loop in list(self._watches):
            self.unwatch_loop(loop)
        self._hooks.remove()
        self._resources.clear()
        for detector in self._further:
            detector.clear()
        self.ignored.clear()
        self._holders.clear()
        self._has_new_holders = self._has_unjudged = self._has_ended_fixtures = False
        self._is_after_others = True

    def watch_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Record the tasks that a loop makes from now on.

        Args:
            loop: the loop; this one alone is affected, by an attribute of the instance.
        """
        if loop not in self._watches:
            self._watches[loop] = TaskWatch(loop, self._sites, self._births)
            for note_start in self._loop_starts:
                note_start(loop)

    def unwatch_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Undo `watch_loop`.

        Args:
            loop: the loop; one that is not watched does not matter.
        """
        watch = self._watches.pop(loop, None)
        if watch is not None:
            for note_end in self._loop_ends:
                note_end(loop)
            watch.remove()

    def exempt_task(self, task: AnyTask) -> None:
        """Never report a task as pending.

        Args:
            task: a task of the harness itself, as the host of a fixture.
        """
        self._tasks.exempt(task)

    def owner_of(self, task: AnyTask) -> Owner | None:
        """Return whose task it is; None if nobody is known to have made it.

        Args:
            task: any task.
        """
        return self._births.owner(task)

    def retain(self, owner: Owner, value: object) -> None:
        """Register a live value of a wider fixture: what it holds is its owner's and no leak of a test.

        Args:
            owner: the fixture.
            value: the value; held until `release`.
        """
        self._holders.setdefault(owner, []).append(value)
        self._has_new_holders = self._is_after_others = True

    def release(self, owner: Owner) -> None:
        """Forget the values of a fixture.

        Args:
            owner: the fixture; one without values does not matter.
        """
        self._holders.pop(owner, None)
        if owner.scope != "function":
            self._has_ended_fixtures = self._is_after_others = True

    def note_unjudged(self) -> None:
        """Take note that a test runs that is not judged: the next one that is must not pay for what it keeps.

        To be called for each of them, before or after it; costs nothing until the next `snapshot`.
        """
        self._has_unjudged = self._is_after_others = True

    def snapshot(self, owner: Owner) -> Snapshot:
        """Begin to watch a test. One test at a time; the hooks must be in.

        Args:
            owner: the test.
        """
        # What tests that are not judged have dropped is nobody's: not that of the test whose code seems to run.
        token = OWNER.set(None) if self._has_unjudged else None
        self._young.open(after_others=self._is_after_others)
        if token is not None:
            OWNER.reset(token)
        self._is_after_others = False
        if self._has_new_holders or self._has_unjudged:
            self._excuse(self._young.find(older=True))
            if self._has_unjudged:
                self._excuse_tests()
            self._has_new_holders = self._has_unjudged = False
        self._births.current = owner
        for take_note in self._snapshots:
            take_note(owner)
        LEFT_BY.set(self._left_by)
        return Snapshot(owner)

    def compare(
        self, snapshot: Snapshot, loop: asyncio.AbstractEventLoop, *, loop_ends: bool
    ) -> list[Finding]:
        """Judge a test after its teardown, and dispose of what it has leaked.

        Args:
            snapshot: what `snapshot` returned.
            loop: the loop of the test; must be neither running nor closed. It is run for some turns.
            loop_ends: whether the loop closes after the test.

        Returns:
            What the test and the fixtures that ended with it have leaked.
        """
        judgement = Judgement(loop, snapshot.owner, loop_ends, collect=self._young.collect)
        try:
            suspects = self._tasks.compare(judgement)
            judgement.young = self._find_young(loop)
            return self._judge(judgement, suspects, self._detectors[1:])
        finally:
            self._young.close()
            self._births.current = None
            LEFT_BY.set(None)
            for forget_test in self._test_ends:
                forget_test()

    def judge_loop(self, loop: asyncio.AbstractEventLoop, *, default_owner: Owner) -> list[Finding]:
        """Judge a wider loop before it closes: nothing on it may go on, whosever it is.

        Args:
            loop: the loop; must be neither running nor closed. It is run for some turns.
            default_owner: who is blamed for what has no owner.

        Returns:
            What was left on the loop, and what ended owners have leaked elsewhere.
        """
        judgement = Judgement(loop, default_owner, loop_ends=True, wider=True)
        return self._judge(judgement, self._tasks.compare(judgement), self._detectors[1:])

    def handle_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> bool:
        """Take what a loop hands to its exception handler.

        Args:
            loop: the loop.
            context: what it hands over.

        Returns:
            True if it is recorded and will be reported by a judgement; False if it is nothing of ours.
        """
        if self._exceptions.excuses(context):
            return False
        task: AnyTask | None = context.get("task")
        if task is not None and "destroyed" in str(context.get("message", "")):
            self._tasks.record_destroyed(task)
            return True
        return self._exceptions.handle(context) or self._loop_errors.handle(context)

    def drain(self) -> list[Finding]:
        """Return what no judgement has taken, as what a wider fixture has left off the loops that are judged."""
        if self._has_unjudged:
            self.ledger.forget_ended_tests()
        findings: list[Finding] = []
        if self._has_ended_fixtures:
            self._has_ended_fixtures = False
            loop = asyncio.SelectorEventLoop()
            loop.close()  # what is on no loop needs none
            judgement = Judgement(loop, Owner("session", ""), loop_ends=False)
            findings = self._judge(judgement, [], self._off_loops)
        return findings + [with_place(finding) for finding in self.ledger.take_all()]

    def _left_by(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> list[Suspect]:
        judgement = Judgement(loop, owner, loop_ends=False)
        detectors = [each for each in self._detectors[1:] if each is not self.contexts]
        suspects = [suspect for each in detectors for suspect in each.compare(judgement)]
        suspects = self.ignored.without_ignored(judgement.without_parts(suspects))
        return self._without_retained(judgement, suspects)

    def _excuse(self, things: list[object]) -> None:
        self._coroutines.excuse(things)
        self._exceptions.excuse(things)

    def _excuse_tests(self) -> None:
        """Excuse what tests have left that nobody has judged: what is on the loops, and in the ledger."""
        self.ledger.forget_ended_tests()
        for loop in self._watches:
            for task in asyncio.all_tasks(loop):
                if self._is_of_ended_test(task):
                    self._tasks.exempt(task)
            finished = self._exceptions.finished_tasks(loop)
            self._exceptions.excuse(task for task in finished if self._is_of_ended_test(task))

    def _is_of_ended_test(self, task: AnyTask) -> bool:
        owner = self._births.owner(task)
        return owner is not None and owner.kind == "test" and owner.ended

    def _judge(
        self, judgement: Judgement, suspects: list[Suspect], detectors: Iterable[Detector]
    ) -> list[Finding]:
        for detector in detectors:
            suspects += detector.compare(judgement)
        judgement.young = []
        suspects = self.ignored.without_ignored(judgement.without_parts(suspects))
        findings: list[Finding] = []
        if suspects:
            if not judgement.wider:
                suspects = self._without_retained(judgement, suspects)
            blamed = [OwnerInfo.of(suspect.owner or judgement.owner) for suspect in suspects]
            findings = [suspect.describe(owner) for suspect, owner in zip(suspects, blamed, strict=True)]
            findings += self.ledger.take(judgement)
            with ending_followers(judgement, self._births):
                self._dispose(judgement, suspects, findings)
            suspects.clear()
            self.ledger.take(judgement)  # what the disposal has stirred up
        else:
            findings = self.ledger.take(judgement)
        return [with_place(finding) for finding in findings]

    def _find_young(self, loop: asyncio.AbstractEventLoop) -> list[object]:
        """Find the coroutines and failed futures that the test made and that are more than garbage."""
        found = self._young.find()
        if not found:
            return []
        refs = [weakref.ref(thing) for thing in found if self._is_candidate(thing)]
        if not refs:
            return []
        found.clear()
        self._young.collect()
        survivors = [thing for ref in refs if (thing := ref()) is not None]
        # A coroutine that a task runs, or holds to run it later, is the task's business.
        held = find_retained(survivors, {"tasks": self._running_coroutines(loop)})
        return settle_in_threads([thing for thing in survivors if id(thing) not in held], self._is_candidate)

    def _is_candidate(self, thing: object) -> bool:
        return self._coroutines.is_candidate(thing) or self._exceptions.is_candidate(thing)

    def _without_retained(self, judgement: Judgement, suspects: list[Suspect]) -> list[Suspect]:
        roots = self._live_values(judgement)
        if not roots:
            return suspects
        retained = find_retained([suspect.thing for suspect in suspects], roots)
        blamed: list[Suspect] = []
        for suspect in suspects:
            holder = retained.get(id(suspect.thing))
            if holder is None:
                blamed.append(suspect)
            else:
                suspect.adopt(holder)
        return blamed

    def _live_values(self, judgement: Judgement) -> dict[Owner, list[object]]:
        return {
            owner: values
            for owner, values in self._holders.items()
            if not owner.ended and owner is not judgement.owner
        }

    def _running_coroutines(self, loop: asyncio.AbstractEventLoop) -> list[object]:
        loops = {loop, *self._watches}
        return [self._births.coroutine(task) for each in loops for task in asyncio.all_tasks(each)]

    def _dispose(self, judgement: Judgement, suspects: list[Suspect], findings: list[Finding]) -> None:
        tasks: dict[AnyTask, int] = {}
        for index, suspect in enumerate(suspects):
            if suspect.dispose is not None:
                # These are the user's objects: their cleanup may fail, the report stands.
                with contextlib.suppress(Exception):
                    suspect.dispose()
            else:
                tasks[cast("AnyTask", suspect.thing)] = index
        if not tasks:
            return
        running = [self._births.coroutine(task) for task in tasks]
        ids = set(map(id, running))
        held = [
            thing for thing in walk(running) if id(thing) not in ids and self._coroutines.is_candidate(thing)
        ]
        for task in reap(judgement.loop, tasks):
            self._tasks.exempt(task)
            index = tasks[task]
            findings[index] = dataclasses.replace(findings[index], details=_IGNORED)
        if held:
            # What a leaked task would have awaited is a part of the same leak, unless others may await it yet.
            living = self._live_values(judgement)
            roots: dict[str, list[object]] = {
                "values": [*living.values()],
                "tasks": self._running_coroutines(judgement.loop),
            }
            spared = find_retained(held, roots)
            for thing in held:
                if id(thing) not in spared and self._coroutines.is_candidate(thing):
                    cast("AnyCoroutine", thing).close()
