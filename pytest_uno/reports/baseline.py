"""The baseline: the leaks that are known, as a JSON report of format 1.

Made to be kept in version control: an entry stays letter for letter as it was first written, however lines, tests and
workers change around it, and the order is by what stays the same too, so that two branches seldom touch one place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from pytest_uno.core.errors import compose_message
from pytest_uno.leaks.model import Frame, portable_file
from pytest_uno.reports.groups import Group, RunSummary
from pytest_uno.reports.json_report import FORMAT_VERSION, report_data

__all__ = ["Baseline", "BaselineError", "Entry", "make_entry", "merge", "parse", "render"]

_FINGERPRINT = re.compile("[0-9a-f]{16}")
_CONFLICT = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7})(?: .*)?\r?$", re.MULTILINE)


class BaselineError(ValueError):
    """What was read is no baseline; the text says what is wrong and what to do, as `compose_message` does."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One known leak.

    Attributes:
        data: the leak, as the JSON report has it.
    """

    data: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """What makes it distinct."""
        return cast("str", self.data["fingerprint"])

    @property
    def rule(self) -> str:
        """The code of its rule."""
        return cast("str", self.data["rule"])

    @property
    def file(self) -> str:
        """The file that creates it."""
        return cast("str", self.data["created"][0]["file"])

    @property
    def function(self) -> str:
        """The function that creates it."""
        return cast("str", self.data["created"][0]["function"])

    @property
    def tests(self) -> tuple[str, ...]:
        """The node IDs of the tests it was seen in when it was written."""
        return tuple(sighting["test"] for sighting in self.data["seen"])

    @property
    def count(self) -> int:
        """How often it was found when it was written."""
        count = self.data.get("count")
        return count if isinstance(count, int) else len(self.tests)

    @property
    def own_files(self) -> frozenset[str]:
        """The project's own files on the way to its creation."""
        return frozenset(frame["file"] for frame in self.data["created"] if frame["in_app"] is True)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a baseline file says.

    Attributes:
        entries: the known leaks, each fingerprint once, in the order of the file.
        head: the members of the file beside the leaks.
    """

    entries: tuple[Entry, ...] = ()
    head: Mapping[str, Any] | None = None

    @property
    def fingerprints(self) -> frozenset[str]:
        """What makes each known leak distinct."""
        return frozenset(entry.fingerprint for entry in self.entries)

    @property
    def project(self) -> str:
        """The name of the project's root folder where it was written; empty if it is not there."""
        project = (self.head or {}).get("project")
        return project if isinstance(project, str) else ""


def parse(text: str, name: str) -> Baseline:
    """Read a baseline.

    Args:
        text: what the file holds.
        name: what the file is called, for messages.

    Raises:
        BaselineError: it is no baseline, or one that this version cannot read.
    """
    try:
        data: object = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        if _CONFLICT.search(text):
            raise BaselineError(
                _describe(
                    f"the baseline {name} has conflict markers of a merge in it",
                    "keep the entries of both sides, without the markers, then run with --uno-leak-baseline-write",
                )
            ) from None
        raise BaselineError(
            _describe(
                f"the baseline {name} is not JSON: {error.msg}, in line {error.lineno}, column {error.colno}",
                "repair it, or take it from version control",
            )
        ) from None
    except (ValueError, RecursionError) as error:
        raise BaselineError(
            _describe(f"the baseline {name} is not JSON: {error}", "take it from version control")
        ) from None
    head = _read_head(data, name)
    entries: dict[str, Entry] = {}
    for index, leak in enumerate(cast("list[object]", head.pop("leaks"))):
        problem = _find_problem(leak)
        if problem is not None:
            raise BaselineError(
                _describe(
                    f"the baseline {name} is damaged: leak {index + 1} has {problem}",
                    "repair it, or take it from version control",
                )
            )
        entry = Entry(cast("dict[str, Any]", leak))
        entries.setdefault(entry.fingerprint, entry)  # a merge may have brought it twice
    return Baseline(tuple(entries.values()), head)


def make_entry(group: Group) -> Entry:
    """Make an entry of what was found.

    Args:
        group: the leak.
    """
    finding = group.finding
    portable = replace(
        finding,
        created=_without_installation(finding.created),
        waiting_at=_without_installation(finding.waiting_at),
    )
    known = replace(group, finding=portable, status="baseline", level="error", reason="")
    return Entry(_normalize(report_data([known], RunSummary(0))["leaks"][0]))


def merge(baseline: Baseline, found: Iterable[Group], dropped: Iterable[str] = ()) -> Baseline:
    """Add what was found, and take away what is gone.

    Args:
        baseline: what was known; its entries stay as they are.
        found: the leaks of a run, known or not.
        dropped: fingerprints of entries that are not there any more.
    """
    gone = frozenset(dropped)
    entries = {entry.fingerprint: entry for entry in baseline.entries if entry.fingerprint not in gone}
    for group in found:
        if group.fingerprint not in entries:
            entries[group.fingerprint] = make_entry(group)
    return Baseline(tuple(sorted(entries.values(), key=_order)), baseline.head)


def render(baseline: Baseline, project: str) -> str:
    """Render a baseline.

    Args:
        baseline: the baseline.
        project: the name of the project's root folder, where the baseline does not name it yet.

    Returns:
        The text of the file: ASCII only. What `parse` makes of it renders as the same text again.
    """
    entries = sorted(baseline.entries, key=_order)
    data = report_data([], RunSummary(0, project=project)) | dict(baseline.head or {})
    data["summary"] = _count(entries)
    data["leaks"] = [_normalize(entry.data) for entry in entries]
    return json.dumps(data, indent=2) + "\n"


def _count(entries: Sequence[Entry]) -> dict[str, int]:
    """Count anew: after a merge the numbers in the file are those of neither side."""
    return {
        "distinct": len(entries),
        "total": sum(entry.count for entry in entries),
        "tests": len({test for entry in entries for test in entry.tests}),
    }


def _read_head(data: object, name: str) -> dict[str, Any]:
    """Return the members of a report of this format; `leaks` is a list."""
    if isinstance(data, dict):
        members = cast("dict[str, Any]", data)
        tool, number = members.get("tool"), members.get("format")
        is_ours = isinstance(tool, dict) and cast("dict[str, Any]", tool).get("name") == "pytest-uno"
        if is_ours and type(number) is int and number > FORMAT_VERSION:
            version = cast("dict[str, Any]", tool).get("version")
            raise BaselineError(
                _describe(
                    f"the baseline {name} has format {number}, written by pytest-uno {version}; this version reads "
                    f"format {FORMAT_VERSION}",
                    "use that version of pytest-uno or a newer one",
                )
            )
        if (
            is_ours
            and type(number) is int
            and number == FORMAT_VERSION
            and type(members.get("leaks")) is list
        ):
            return dict(members)
    raise BaselineError(
        _describe(
            f"{name} is no baseline: it is not a JSON report of pytest-uno",
            "name the file that --uno-leak-baseline-write has written",
        )
    )


def _find_problem(leak: object) -> str | None:
    """Say what an entry lacks that this module reads."""
    if not isinstance(leak, dict):
        return "no members"
    entry = cast("dict[str, Any]", leak)
    fingerprint, rule = entry.get("fingerprint"), entry.get("rule")
    if not isinstance(fingerprint, str) or not _FINGERPRINT.fullmatch(fingerprint):
        return "no fingerprint"
    if not isinstance(rule, str):
        return "no rule"
    if not _are_objects(entry.get("created"), {"file": str, "function": str, "in_app": bool}):
        return "no frames of its creation"
    if not _are_objects(entry.get("seen"), {"test": str}):
        return "no tests it was seen in"
    return None


def _are_objects(value: object, members: Mapping[str, type]) -> bool:
    """Say whether a value is a list of objects, at least one, that all have these members."""
    if not isinstance(value, list) or not value:
        return False
    return all(
        isinstance(one, dict)
        and all(isinstance(cast("dict[str, Any]", one).get(key), kind) for key, kind in members.items())
        for one in cast("Sequence[object]", value)
    )


def _without_installation(frames: Iterable[Frame]) -> tuple[Frame, ...]:
    """Name libraries as every machine does; the fingerprint stays the same."""
    return tuple(replace(frame, file=portable_file(frame)) for frame in frames)


def _normalize(data: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what belongs to one run: any report may become a baseline."""
    seen: list[Mapping[str, Any]] = list(data["seen"])
    tests: dict[str, dict[str, Any]] = {}
    for sighting in seen:
        tests.setdefault(sighting["test"], {**sighting, "worker": None})
    fixed = {"status": "baseline", "level": "error", "reason": "", "seen": list(tests.values())}
    return {**data, **{key: value for key, value in fixed.items() if key in data}}


def _order(entry: Entry) -> tuple[str, str, str, str]:
    return entry.rule, entry.file, entry.function, entry.fingerprint


def _describe(what: str, fix: str) -> str:
    return compose_message(what, fix=fix, anchor="bad-baseline")
