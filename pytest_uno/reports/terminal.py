"""The text of a finding, and the "leak report" section of the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from pytest_uno.leaks.model import Finding, Frame
from pytest_uno.leaks.rules import RULES
from pytest_uno.reports.groups import Group, RunSummary, short_test_name
from pytest_uno.reports.plain_text import escape_controls, one_line, shorten
from pytest_uno.reports.wording import count_of

__all__ = ["SummaryLine", "render_finding", "render_headline", "render_terminal", "summarize"]

_WIDTH = 78
_INDENT = 4
_LABEL = 12
_TESTS_SHOWN = 5
_SENTENCE = 400


class SummaryLine(NamedTuple):
    """One line of the section "leak report".

    Attributes:
        text: the line.
        kind: how it is coloured: as a failure, as a warning, or not at all.
    """

    text: str
    kind: Literal["error", "warn", "plain"] = "plain"


def render_finding(finding: Finding, *, with_owner: bool = False) -> str:
    """Render one finding, as the failure of its test shows it.

    Args:
        finding: the finding.
        with_owner: name the owner also when it is a test: the text stands under another test then.

    Returns:
        Lines without an end. Prose is wrapped at 78 columns; paths, code and tracebacks are never cut.
    """
    rule = RULES[finding.rule]
    lines = [f"{rule.code} {rule.name}: {_subject(finding)}", ""]
    lines += _frames("created", "called from", finding.created)
    lines += _frames("waiting at", "awaited in", finding.waiting_at)
    if finding.waiting_at or finding.awaited_by is not None:
        lines += _prose("awaited by", shorten(one_line(finding.awaited_by or "nobody"), _SENTENCE))
    if with_owner or finding.owner.kind == "fixture":
        lines += _prose("owner", shorten(one_line(finding.owner.describe()), _SENTENCE))
    if finding.details:
        lines += _row("details", escape_controls(finding.details).splitlines())
    lines += _prose("fix", rule.fix)
    # The address alone fills a line.
    lines += _row("docs", [rule.docs, f"leak id {finding.fingerprint}"])
    return "\n".join(lines)


def render_headline(findings: Sequence[Finding]) -> str:
    """Render what the short test summary says of a test: rule and creation line first, for it is cut on the right.

    Args:
        findings: what the test left; at least one.
    """
    first = findings[0]
    rule, origin = RULES[first.rule], first.created[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{rule.code} {rule.name} at {one_line(origin.file)}:{origin.line}: {_subject(first)}{more}"


def summarize(groups: Sequence[Group], run: RunSummary) -> list[SummaryLine]:
    """Say what the section "leak report" says: every distinct leak once, with the tests it was seen in.

    Args:
        groups: the leaks, in the order of the report.
        run: the run that they were found in.

    Returns:
        The lines; none if there is no leak. What is known or allowed is counted in the end.
    """
    told = [group for group in groups if group.status == "new" or group.level == "warn"]
    lines: list[SummaryLine] = []
    if told:
        leaking = len({test for group in told for test in group.tests})
        title = f"{count_of(len(told), 'distinct leak')}, seen in {leaking} of {count_of(run.tests, 'test')}"
        lines += [SummaryLine(title), SummaryLine("")]
    for group in sorted(told, key=lambda group: group.status != "new"):
        origin = group.finding.created[0]
        rule = group.finding.rule
        names = list(dict.fromkeys(shorten(one_line(short_test_name(test))) for test in group.tests))
        shown = names[:_TESTS_SHOWN]
        more = len(names) - len(shown)
        listed = ", ".join(shown) + (f" and {more} more" if more else "")
        warning = "" if group.status == "new" else " (a warning)"
        text = f"{rule} {_place(origin)}: {_subject(group.finding)}{warning}"
        lines.append(SummaryLine(text, "error" if group.status == "new" else "warn"))
        seen = f"seen in {count_of(len(group.tests), 'test')}: {listed}"
        lines.append(SummaryLine(f"{' ' * len(rule)} {group.fingerprint[:8]}  {seen}"))
    allowed = sum(group.status == "allowed" and group.level == "error" for group in groups)
    if allowed:
        lines.append(SummaryLine(f"{count_of(allowed, 'allowed leak')} did not fail the run"))
    return lines


def render_terminal(groups: Sequence[Group], run: RunSummary) -> str:
    """Render the whole report as plain text: each leak as the failure of its test shows it, then the summary.

    Args:
        groups: the leaks, in the order of the report.
        run: the run that they were found in.
    """
    if not groups:
        return f"leaks: none in {count_of(run.tests, 'test')}\n"
    blocks = [render_finding(group.finding, with_owner=True) for group in groups if group.status == "new"]
    summary = "\n".join(line.text for line in summarize(groups, run))
    return "\n\n".join([*blocks, summary]) + "\n"


def _frames(label: str, caller: str, frames: Sequence[Frame]) -> Iterator[str]:
    for index, frame in enumerate(frames):
        # The callers stand in the text's column, with words of their own in the place of a label.
        place = _place(frame) if index == 0 else f"{caller} {_place(frame)}"
        code = [f"    {shorten(one_line(frame.code), _SENTENCE)}"] if frame.code and index == 0 else []
        yield from _row(label if index == 0 else "", [place, *code])


def _prose(label: str, text: str) -> Iterator[str]:
    width = _WIDTH - _INDENT - _LABEL
    yield from _row(label, textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))


def _row(label: str, lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield (f"{'':{_INDENT}}{label:<{_LABEL}}" + line).rstrip()
        label = ""


def _subject(finding: Finding) -> str:
    return shorten(one_line(finding.subject), _SENTENCE)


def _place(frame: Frame) -> str:
    return f"{one_line(frame.file)}:{frame.line} in {shorten(one_line(frame.function))}"
