"""The text of a finding, and the "leak report" section of the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from pytest_uno.leaks.model import Finding, Frame
from pytest_uno.leaks.rules import RULES
from pytest_uno.reports.groups import Group, short_test_name

__all__ = ["render_finding", "render_summary"]

_WIDTH = 78
_INDENT = 4
_LABEL = 12
_TESTS_SHOWN = 5


def render_finding(finding: Finding, *, with_owner: bool = False) -> str:
    """Render one finding, as the failure of its test shows it.

    Args:
        finding: the finding.
        with_owner: name the owner also when it is a test: the text stands under another test then.

    Returns:
        Lines without an end. Prose is wrapped at 78 columns; paths, code and tracebacks are never cut.
    """
    rule = RULES[finding.rule]
    lines = [f"{rule.code} {rule.name}: {finding.subject}", ""]
    lines += _frames("created", "called from", finding.created)
    lines += _frames("waiting at", "awaited in", finding.waiting_at)
    if finding.waiting_at or finding.awaited_by is not None:
        lines += _prose("awaited by", finding.awaited_by or "nobody")
    if with_owner or finding.owner.kind == "fixture":
        lines += _prose("owner", finding.owner.describe())
    if finding.details:
        lines += _row("details", finding.details.splitlines())
    lines += _prose("fix", rule.fix)
    # The address alone fills a line.
    lines += _row("docs", [rule.docs, f"leak id {finding.fingerprint}"])
    return "\n".join(lines)


def render_summary(groups: Sequence[Group], tests_run: int) -> list[str]:
    """Render the section "leak report": every distinct leak once, with the tests it was seen in.

    Args:
        groups: the leaks, in the order of the report.
        tests_run: how many tests were judged.

    Returns:
        The lines; none if there is no leak.
    """
    if not groups:
        return []
    leaking = len({test for group in groups for test in group.tests})
    lines = [f"{_count(len(groups), 'distinct leak')}, seen in {leaking} of {_count(tests_run, 'test')}", ""]
    for group in groups:
        origin = group.finding.created[0]
        rule = group.finding.rule
        names = list(dict.fromkeys(map(short_test_name, group.tests)))
        tests = len(group.tests)
        shown = names[:_TESTS_SHOWN]
        more = len(names) - len(shown)
        listed = ", ".join(shown) + (f" and {more} more" if more else "")
        lines.append(f"{rule} {_place(origin)}: {group.finding.subject}")
        lines.append(f"{' ' * len(rule)} {group.fingerprint[:8]}  seen in {_count(tests, 'test')}: {listed}")
    return lines


def _frames(label: str, caller: str, frames: Sequence[Frame]) -> Iterator[str]:
    for index, frame in enumerate(frames):
        # The callers stand in the text's column, with words of their own in the place of a label.
        place = _place(frame) if index == 0 else f"{caller} {_place(frame)}"
        code = [f"    {frame.code}"] if frame.code and index == 0 else []
        yield from _row(label if index == 0 else "", [place, *code])


def _prose(label: str, text: str) -> Iterator[str]:
    width = _WIDTH - _INDENT - _LABEL
    yield from _row(label, textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))


def _row(label: str, lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield (f"{'':{_INDENT}}{label:<{_LABEL}}" + line).rstrip()
        label = ""


def _place(frame: Frame) -> str:
    return f"{frame.file}:{frame.line} in {frame.function}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
