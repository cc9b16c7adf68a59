"""The JSON report: the one machine-readable form, which is the baseline's form too."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeAlias

from pytest_uno._version import __version__
from pytest_uno.core.errors import docs_url
from pytest_uno.leaks.rules import RULES
from pytest_uno.reports.groups import Group, RunSummary

__all__ = ["FORMAT_VERSION", "SCHEMA_ID", "render_json", "report_data"]

_Json: TypeAlias = "str | int | list[_Json] | dict[str, _Json] | None"

# Additive changes keep the number: readers ignore members that they do not know. A member that goes or
# changes its type makes a new format, with a schema of its own beside this module.  1: the first.
FORMAT_VERSION = 1

SCHEMA_ID = docs_url(f"schema/leaks-{FORMAT_VERSION}").removesuffix(".html") + ".json"
"""The address of the schema, `leaks-1.schema.json` in this folder."""


def report_data(groups: Iterable[Group], run: RunSummary) -> dict[str, Any]:
    """Return the report as JSON values.

    Args:
        groups: the leaks, in the order of the report.
        run: the run that they were found in.
    """
    groups = list(groups)
    return {
        "$schema": SCHEMA_ID,
        "format": FORMAT_VERSION,
        "tool": {"name": "pytest-uno", "version": __version__},
        "project": run.project,
        "summary": {
            "distinct": len(groups),
            "total": sum(group.count for group in groups),
            "tests": len({test for group in groups for test in group.tests}),
        },
        "leaks": [_unicode(_leak(group)) for group in groups],
    }


def render_json(groups: Iterable[Group], run: RunSummary) -> str:
    """Render the report.

    Args:
        groups: the leaks, in the order of the report.
        run: the run that they were found in.

    Returns:
        The text of the file: ASCII only, so that no reader's encoding matters.
    """
    return json.dumps(report_data(groups, run), indent=2) + "\n"


def _leak(group: Group) -> dict[str, Any]:
    finding, rule = group.finding, RULES[group.finding.rule]
    return {
        "fingerprint": group.fingerprint,
        "rule": rule.code,
        "name": rule.name,
        "subject": finding.subject,
        "fix": rule.fix,
        "docs": rule.docs,
        "status": group.status,
        "level": group.level,
        "reason": group.reason,
        "created": [frame.to_json() for frame in finding.created],
        "waiting_at": [frame.to_json() for frame in finding.waiting_at],
        "awaited_by": finding.awaited_by,
        "count": group.count,
        "seen": [{"test": sighting.test, "worker": sighting.worker} for sighting in group.seen],
    }


def _unicode(value: _Json) -> _Json:
    # Halves of surrogate pairs, as in names of files that are no UTF-8, make strict readers refuse the whole file.
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _unicode(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_unicode(member) for member in value]
    return value
