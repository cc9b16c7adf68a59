"""UNO504 policy: the event loop policy of the process was changed and not put back.

Who has changed it, and where, is noted when it is set; whether it was put back is seen from the policy itself. A
policy that pytest plugins set around a loop, as pytest-asyncio does, comes without any of the user's frames.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from pytest_uno.leaks.asyncio_internals import (
    POLICY_SETTER,
    event_loop_policy,
    is_same_policy,
    put_policy_back,
)
from pytest_uno.leaks.hook_table import Hook, replace_attribute
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Suspect
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Site, Sites
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["Policies"]

_ASYNCIO = os.path.dirname(asyncio.__file__) + os.sep

_getframe = sys._getframe  # pyright: ignore[reportPrivateUsage]  (documented, if only for CPython)


@dataclasses.dataclass(slots=True, eq=False)
class _Change:
    before: object
    after: object
    owner: Owner | None
    site: Site


class Policies(FurtherDetector):
    """The detector of UNO504.

    Args:
        sites: records and resolves the sites.
        births: knows the test that runs.
    """

    on_loops = False  # a policy belongs to the process

    def __init__(self, sites: Sites, births: TaskBirths) -> None:
        self._sites = sites
        self._births = births
        self._changes: list[_Change] = []
        self._known: object = None

    def hooks(self) -> tuple[Hook, ...]:
        """Return the hooks of the function that sets the policy, wherever it can be called from."""
        reason = "only there can be seen who changes the policy, and where"
        return tuple(
            replace_attribute(module, POLICY_SETTER, self._wrap, reason=reason)
            for module in (asyncio.events, asyncio)
            if hasattr(module, POLICY_SETTER) and _is_own(module)
        )

    def snapshot(self, owner: Owner) -> None:
        """Take note of the policy, in case a reference to the function that sets it is older than our hook."""
        self._known = event_loop_policy()

    def clear(self) -> None:
        """Let go of everything."""
        self._changes.clear()
        self._known = None

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the changes of those who are judged that were not put back."""
        policy = event_loop_policy()
        if self._births.current is not None and not is_same_policy(policy, self._known):
            self._note(_Change(self._known, policy, judgement.owner, []))
        self._known = policy
        return [
            self._suspect(change)
            for change in self._changes
            if change.owner is not None and (change.owner.ended or change.owner is judgement.owner)
        ]

    def _wrap(self, set_policy: Callable[[Any], None]) -> Callable[[Any], None]:
        @functools.wraps(set_policy)
        def set_policy_and_remember(policy: Any) -> None:
            before = event_loop_policy()
            set_policy(policy)
            site = self._sites.capture(_setter_of_policy())
            owner = (OWNER.get() or self._births.current) if site else None
            self._known = after = event_loop_policy()
            self._note(_Change(before, after, owner, site))

        return set_policy_and_remember

    def _note(self, change: _Change) -> None:
        """Put a change to the others, unless it undoes some of them."""
        changes = self._changes
        for index, earlier in enumerate(changes):
            if is_same_policy(earlier.before, change.after):
                del changes[index:]
                return
        if is_same_policy(change.before, change.after):
            return
        if changes and changes[-1].owner is change.owner:
            change.before = changes.pop().before
        changes.append(change)

    def _suspect(self, change: _Change) -> Suspect:
        def describe(owner: OwnerInfo) -> Finding:
            name = "None" if change.after is None else type(change.after).__qualname__
            return Finding(
                rule="UNO504",
                subject=f"event loop policy was set to {name} and not put back",
                target=name,
                created=self._sites.resolve(change.site),
                waiting_at=(),
                awaited_by=None,
                owner=owner,
            )

        def adopt(owner: Owner) -> None:
            change.owner = owner  # pragma: no cover - nothing but this detector holds a change

        # The change is what leaks: that somebody holds the policy does not put it back.
        return Suspect(change, change.owner, describe, adopt, lambda: self._undo(change))

    def _undo(self, change: _Change) -> None:
        index = self._changes.index(change)
        del self._changes[index]
        if index < len(self._changes):
            self._changes[index].before = change.before
        else:
            put_policy_back(change.before)
            self._known = change.before


def _setter_of_policy() -> types.FrameType:
    """Return the innermost frame outside of asyncio; `events.py` usually ends the user's part of a stack."""
    frame = _getframe(2)
    while frame.f_code.co_filename.startswith(_ASYNCIO) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _is_own(module: object) -> bool:
    return POLICY_SETTER in vars(module)
