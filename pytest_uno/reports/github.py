"""Workflow commands of GitHub Actions: an annotation for each leak, at the line that created it."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_uno.leaks.rules import RULES
from pytest_uno.reports.groups import Group, RunSummary
from pytest_uno.reports.kinds import by_kind
from pytest_uno.reports.own_code import own_place
from pytest_uno.reports.plain_text import one_line
from pytest_uno.reports.wording import count_of, name, place_of, seen_first_in

__all__ = ["escape_data", "escape_property", "render_github"]

_SHOWN = 10
"""How many annotations of each type the service shows for a step. What it leaves out it does not mention."""


def render_github(groups: Sequence[Group], run: RunSummary) -> str:
    """Render the annotations: errors for leaks that fail the run, warnings for those that only warn.

    Args:
        groups: the leaks, in the order of the report.
        run: the run that they were found in.

    Returns:
        One command a line, at most ten of each type; empty if there is nothing to annotate.
    """
    kinds = by_kind(groups)
    lines: list[str] = []
    more: list[str] = []
    for command, members, what in (
        ("error", kinds["new"], "more leak"),
        ("warning", kinds["warned"], "more warning"),
    ):
        # The sort keeps the order of the report among leaks of as many tests.
        members.sort(key=lambda group: -len(group.tests))
        lines += [_annotation(command, group) for group in members[:_SHOWN]]
        if len(members) > _SHOWN:
            more.append(count_of(len(members) - _SHOWN, what))
    if more:
        # A notice, so that it takes the place of no error.
        text = " and ".join(more) + " without an annotation: see the job's summary, or the end of the log"
        lines.append(f"::notice title=pytest-uno::{escape_data(text)}")
    return "".join(f"{line}\n" for line in lines)


def escape_data(text: str) -> str:
    r"""Escape the message of a workflow command.

    Args:
        text: the message.

    Example:
        >>> escape_data("50 %\nmore")
        '50 %25%0Amore'
    """
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """Escape the value of a property of a workflow command.

    Args:
        text: the value.

    Example:
        >>> escape_property("a:b,c")
        'a%3Ab%2Cc'
    """
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")


def _annotation(command: str, group: Group) -> str:
    finding, rule, place = group.finding, RULES[group.finding.rule], own_place(group)
    origin = finding.created[0]
    lines = [f"{name(finding.subject)}, {seen_first_in(group)}"]
    if (origin.file, origin.line) != place:
        lines.append(f"created at {place_of(origin)}")
    lines += [f"fix: {rule.fix}", rule.docs]
    # The file is not shortened: a part of a path is another path.
    properties = {
        "file": one_line(place.file),
        "line": str(place.line),
        "title": f"{rule.code} {rule.name}",
    }
    listed = ",".join(f"{key}={escape_property(value)}" for key, value in properties.items())
    return f"::{command} {listed}::{escape_data(chr(10).join(lines))}"
