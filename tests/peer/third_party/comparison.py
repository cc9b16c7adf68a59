"""What two runs of a suite must have in common, and what was found in the second."""

from __future__ import annotations

import json
from pathlib import Path

from tests.peer.source_suites import Outcomes
from tests.peer.third_party.suites import Finding

__all__ = ["Found", "compare_findings", "compare_outcomes", "in_junit", "read_findings"]

Found = dict[tuple[str, str, str], bool]
"""Findings: rule, file and function of the creation, and the test; whether it failed that test."""


def read_findings(report: Path) -> Found:
    """Read a JSON report."""
    found: Found = {}
    for leak in json.loads(report.read_text(encoding="utf-8"))["leaks"]:
        first = leak["created"][0] if leak["created"] else {"file": "", "function": leak["subject"]}
        created = f"{first['file']}:{first['function']}"
        for sighting in leak["seen"]:
            found[leak["rule"], created, sighting["test"]] = leak["status"] == "new"
    return found


def compare_findings(found: Found, expected: tuple[Finding, ...]) -> list[str]:
    """Return what is found and not expected, and what is expected and not found."""
    known = {(each.rule, each.created, test) for each in expected for test in each.tests}
    return [
        *(f"FOUND {' '.join(each)}" for each in sorted(found.keys() - known)),
        *(f"NOT FOUND {' '.join(each)}" for each in sorted(known - found.keys())),
    ]


def compare_outcomes(without: Outcomes, with_uno: Outcomes, found: Found) -> list[str]:
    """Return the tests that end differently, but those that pass without pytest-uno and fail for a finding."""
    failed_for_findings = {in_junit(test) for (_, _, test), is_failure in found.items() if is_failure}
    complaints: list[str] = []
    for name in sorted(without.keys() | with_uno.keys()):
        before, after = without.get(name), with_uno.get(name)
        is_due = before == ("passed",) and after in (("failure",), ("error",)) and name in failed_for_findings
        if before != after and not is_due:
            complaints.append(f"DIFFERENT {name}: {before} without pytest-uno, {after} with it")
    return complaints


def in_junit(test: str) -> str:
    """Return the name of a test as JUnit's files have it.

    Args:
        test: the test in the notation of pytest.
    """
    path, _, rest = test.partition("::")
    plain, bracket, parameters = rest.partition("[")
    *classes, function = plain.split("::")
    return (
        ".".join([path.removesuffix(".py").replace("/", "."), *classes])
        + f"::{function}{bracket}{parameters}"
    )
