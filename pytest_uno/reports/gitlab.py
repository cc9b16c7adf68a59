"""The Code Quality report of GitLab, which merge requests show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pytest_uno.leaks.rules import RULES
from pytest_uno.reports.groups import Group, RunSummary
from pytest_uno.reports.kinds import Kind, kind_of, most_important_first
from pytest_uno.reports.own_code import own_place
from pytest_uno.reports.plain_text import one_line
from pytest_uno.reports.wording import name, place_of, seen_in

__all__ = ["render_gitlab"]

_SEVERITIES: Mapping[Kind, str] = MappingProxyType(
    {"new": "major", "warned": "minor", "baseline": "minor", "allowed": "info"}
)


def render_gitlab(groups: Sequence[Group], run: RunSummary) -> str:
    """Render the report.

    Args:
        groups: the leaks, in the order of the report.
        run: the run that they were found in.

    Returns:
        The text of the file: a JSON array, ASCII only, with the leaks that fail the run first.
    """
    return json.dumps([_issue(group) for group in most_important_first(groups)], indent=2) + "\n"


def _issue(group: Group) -> dict[str, Any]:
    finding, rule, place = group.finding, RULES[group.finding.rule], own_place(group)
    origin = finding.created[0]
    elsewhere = "" if (origin.file, origin.line) == place else f", created at {place_of(origin)}"
    return {
        "description": f"{rule.name}: {name(finding.subject)}{elsewhere} ({seen_in(group)})",
        "check_name": rule.code,
        "fingerprint": group.fingerprint,
        "severity": _SEVERITIES[kind_of(group)],
        "location": {"path": one_line(place.file), "lines": {"begin": place.line}},
    }
