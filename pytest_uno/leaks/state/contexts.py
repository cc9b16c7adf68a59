"""UNO503 context: a context variable that a fixture has set for good, so that later tests see its value.

Each test runs in a copy of the context, and so does each async fixture, whose changes are undone with it. What stays
is what the synchronous fixtures set, for they run in the context that all tests are copied from. The harness takes the
context before the set-up of each of them; at the end of the fixture a variable should read as it did then.

The interpreter does not tell who sets a variable. So the code of the fixture is searched for it, and only when a
variable is found to have been left. Not judged are variables of libraries that no line of the user's sets: they are
set when they are first read, or mean nothing to a later test. Nor is what lives as long as the run.
"""

from __future__ import annotations

import contextvars
import dataclasses
import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any, TypeAlias

from pytest_uno.leaks.hook_table import Hook
from pytest_uno.leaks.judging import FurtherDetector, Judgement, Suspect
from pytest_uno.leaks.model import Finding, Frame, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Sites
from pytest_uno.leaks.state.variable_setters import find_setter

__all__ = ["Contexts"]

AnyVariable: TypeAlias = contextvars.ContextVar[Any]

_UNSET = object()

_PLAIN = (type(None), bool, int, float, str, bytes, tuple, list, dict, set, frozenset)
"""What may be compared by value: no code of the user's runs for it, unless it is inside."""


@dataclasses.dataclass(slots=True, eq=False)
class _Change:
    variable: AnyVariable
    before: object
    value: object
    owner: Owner
    function: Callable[..., object]


class Contexts(FurtherDetector):
    """The detector of UNO503.

    Args:
        sites: tells the user's code from others'.
    """

    on_loops = False  # a context is on no loop

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._changes: list[_Change] = []
        # What a variable that once was unset reads like before: it cannot be unset again.
        self._first: dict[tuple[types.CodeType, AnyVariable], object] = {}
        self._is_users: dict[AnyVariable, bool] = {}
        self._is_watching = False

    def hooks(self) -> tuple[Hook, ...]:
        """Return a hook that replaces nothing: while none is in, nobody judges what fixtures set."""
        return (Hook("contextvars", "the harness tells of each fixture that was set up", self._watch),)

    def clear(self) -> None:
        """Let go of everything."""
        self._changes.clear()
        self._first.clear()
        self._is_users.clear()

    def note_set_up(self, owner: Owner, function: Callable[..., object], before: contextvars.Context) -> None:
        """Take note of what the set-up of a synchronous fixture has set.

        Args:
            owner: the fixture.
            function: its function.
            before: a copy of the context from before.
        """
        if not self._is_watching:
            return
        for variable, value in contextvars.copy_context().items():
            if before.get(variable, _UNSET) is not value and variable is not OWNER:
                self._note(_Change(variable, before.run(_read, variable), value, owner, function))
        if self._first:
            code = _code_of(function)
            for (setter, variable), value in self._first.items():
                if setter is code:
                    self._note(_Change(variable, value, variable.get(), owner, function))

    def compare(self, judgement: Judgement) -> list[Suspect]:
        """Return the variables that those who are judged have set and not set back."""
        if not self._changes:
            return []
        ended: dict[AnyVariable, list[_Change]] = {}
        living: list[_Change] = []
        for change in self._changes:
            if change.owner.ended or change.owner is judgement.owner:
                ended.setdefault(change.variable, []).append(change)
            else:
                living.append(change)
        self._changes = living
        suspects: list[Suspect] = []
        for variable, changes in ended.items():
            value = _read(variable)
            if _reads_same(changes[0].before, value) or any(each.variable is variable for each in living):
                continue
            culprit = next((each for each in reversed(changes) if each.value is value), changes[-1])
            if culprit.owner.scope == "session":
                continue  # there is no later test
            created = self._place_of(culprit)
            if created is not None:
                suspects.append(self._suspect(culprit, changes[0].before, created))
        return suspects

    def _watch(self) -> Callable[[], None]:
        self._is_watching = True

        def end() -> None:
            self._is_watching = False

        return end

    def _note(self, change: _Change) -> None:
        # A fixture that another one asks for is set up within: it has come first.
        if not any(each.variable is change.variable and each.value is change.value for each in self._changes):
            self._changes.append(change)

    def _place_of(self, change: _Change) -> tuple[Frame, ...] | None:
        """Say where a variable was set; nowhere if only the fixture is known, None if it is none of the user's."""
        lines = find_setter(change.variable, change.function, self._sites.is_user)
        if lines:
            return self._sites.select(lines)
        known = self._is_users.get(change.variable)
        if known is None:
            known = self._is_users[change.variable] = self._is_defined_by_user(change.variable)
        return () if known else None

    def _is_defined_by_user(self, variable: AnyVariable) -> bool:
        """Say whether modules of the user know a variable, and none of a library."""
        files = [
            getattr(module, "__file__", None)
            for module in list(sys.modules.values())
            if any(value is variable for value in list(getattr(module, "__dict__", {}).values()))
        ]
        return bool(files) and all(file is not None and self._sites.is_user(file) for file in files)

    def _suspect(self, change: _Change, before: object, created: tuple[Frame, ...]) -> Suspect:
        variable = change.variable

        def describe(owner: OwnerInfo) -> Finding:
            return Finding(
                rule="UNO503",
                subject=f"context variable {variable.name!r} was set and not reset",
                target=variable.name,
                created=created,
                waiting_at=(),
                awaited_by=None,
                owner=owner,
            )

        def adopt(owner: Owner) -> None:  # pragma: no cover - no value of a fixture leads to it
            change.owner = owner
            self._changes.append(change)

        def dispose() -> None:
            if before is not _UNSET:
                variable.set(before)
            elif (code := _code_of(change.function)) is not None:
                self._first[code, variable] = before

        # The change is what leaks, whoever knows the variable.
        return Suspect(change, change.owner, describe, adopt, dispose)


def _read(variable: AnyVariable) -> object:
    """Return what a variable reads like: its default, where it has one and was not set."""
    try:
        return variable.get()
    except LookupError:
        return _UNSET


def _reads_same(before: object, value: object) -> bool:
    """Say whether later code can hardly tell two values of a variable from each other."""
    if before is value:
        return True
    if type(value) not in _PLAIN:
        return False
    if before is _UNSET:
        return not value
    try:
        return type(before) is type(value) and bool(before == value)
    except Exception:  # of the user's, inside of it
        return False


def _code_of(function: Callable[..., object]) -> types.CodeType | None:
    while isinstance(function, functools.partial):
        function = function.func
    code: types.CodeType | None = getattr(inspect.unwrap(function), "__code__", None)
    return code
