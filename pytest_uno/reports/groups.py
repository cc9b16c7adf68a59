"""Findings of many tests and workers, grouped into distinct leaks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pytest_uno.leaks.model import Finding

__all__ = ["Found", "Group", "Level", "RunSummary", "Sighting", "Status", "group_findings", "short_test_name"]

Status = Literal["new", "baseline", "allowed"]
"""Only "new" fails the run: the others are in the baseline, or allowed by a level, a marker or the ini file."""

Level = Literal["error", "warn"]


class Found(NamedTuple):
    """One finding, as it comes from one test.

    Attributes:
        finding: the finding.
        test: the node ID of the test.
        worker: the worker that ran it, as "gw0"; None without workers.
        status: whether it fails the test, or why it does not.
        level: the level of its rule in that test.
        reason: why it is allowed, in the user's words; empty if it is not, or if nobody says why.
    """

    finding: Finding
    test: str
    worker: str | None = None
    status: Status = "new"
    level: Level = "error"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a report says of the run as a whole.

    Attributes:
        tests: how many tests were judged.
        python: the version of Python, as "3.12.1".
        project: the name of the root folder.
        folder: that folder as a posix path from the top of the repository; empty if it is the top.
    """

    tests: int
    python: str = ""
    project: str = ""
    folder: str = ""


class Sighting(NamedTuple):
    """One test that a leak was seen in.

    Attributes:
        test: the node ID of the test.
        worker: the worker that ran it, as "gw0"; None without workers.
    """

    test: str
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One distinct leak.

    Attributes:
        fingerprint: what makes it distinct.
        finding: one of its findings, the same one in whatever order they came.
        seen: the tests it was seen in, sorted.
        count: how often it was found; a test may leak the same thing several times.
        status: whether it fails the run ("new"), or why it does not; the strictest one of its findings.
        level: the level of its rule where it was found, the strictest one.
        reason: why it is allowed, in the user's words; empty if it is not, or if nobody says why.
    """

    fingerprint: str
    finding: Finding
    seen: tuple[Sighting, ...]
    count: int
    status: Status = "new"
    level: Level = "error"
    reason: str = ""

    @property
    def tests(self) -> tuple[str, ...]:
        """The node IDs of the tests it was seen in, each once."""
        return tuple(dict.fromkeys(sighting.test for sighting in self.seen))


def group_findings(found: Iterable[Found]) -> list[Group]:
    """Group findings by fingerprint.

    Args:
        found: what the tests of the run reported.

    Returns:
        The groups by rule, file and line. The order of `found` does not matter.
    """
    same: dict[str, list[Found]] = {}
    for one in found:
        same.setdefault(one.finding.fingerprint, []).append(one)
    groups = [_make_group(fingerprint, members) for fingerprint, members in same.items()]
    return sorted(groups, key=lambda group: (*_order(group.finding), group.fingerprint))


def _make_group(fingerprint: str, members: list[Found]) -> Group:
    statuses = {one.status for one in members}
    status: Status = "new" if "new" in statuses else "baseline" if "baseline" in statuses else "allowed"
    return Group(
        fingerprint,
        min((one.finding for one in members), key=_order),
        tuple(sorted({Sighting(one.test, one.worker) for one in members}, key=_sighting_order)),
        len(members),
        status,
        "error" if any(one.level == "error" for one in members) else "warn",
        max(one.reason for one in members) if status == "allowed" else "",
    )


def short_test_name(node_id: str) -> str:
    """Return the name of a test without its file and classes.

    Args:
        node_id: the node ID.

    Example:
        >>> short_test_name("tests/test_orders.py::TestCart::test_add[a::b]")
        'test_add[a::b]'
    """
    name, bracket, parameters = node_id.partition("[")
    return name.rpartition("::")[2] + bracket + parameters


def _order(finding: Finding) -> tuple[str, str, int, str]:
    origin = finding.created[0]
    return finding.rule, origin.file, origin.line, json.dumps(finding.to_json(), sort_keys=True)


def _sighting_order(sighting: Sighting) -> tuple[str, str]:
    return sighting.test, sighting.worker or ""
