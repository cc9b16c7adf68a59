"""Findings of many tests and workers, grouped into distinct leaks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pytest_uno.leaks.model import Finding

__all__ = ["Group", "Sighting", "Status", "group_findings", "short_test_name"]

Status = Literal["new", "baseline", "allowed"]


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
        status: whether it fails the run ("new"), or why it does not.
    """

    fingerprint: str
    finding: Finding
    seen: tuple[Sighting, ...]
    count: int
    status: Status = "new"


def group_findings(found: Iterable[tuple[Finding, str, str | None]]) -> list[Group]:
    """Group findings by fingerprint.

    Args:
        found: findings, each with the node ID of its test and the worker that ran it.

    Returns:
        The groups by rule, file and line. The order of `found` does not matter.
    """
    findings: dict[str, list[Finding]] = {}
    sightings: dict[str, set[Sighting]] = {}
    for finding, test, worker in found:
        key = finding.fingerprint
        findings.setdefault(key, []).append(finding)
        sightings.setdefault(key, set()).add(Sighting(test, worker))
    groups = [
        Group(key, min(same, key=_order), tuple(sorted(sightings[key], key=_sighting_order)), len(same))
        for key, same in findings.items()
    ]
    return sorted(groups, key=lambda group: (*_order(group.finding), group.fingerprint))


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
