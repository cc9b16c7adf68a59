"""What the section "leak report" says of the baseline and of patterns that allow leaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_uno.leaks.model import Finding
from pytest_uno.reports.baseline import Entry
from pytest_uno.reports.groups import Group
from pytest_uno.reports.plain_text import one_line, shorten

__all__ = ["BaselineNews", "describe_baseline", "describe_unused"]


@dataclass(frozen=True, slots=True)
class BaselineNews:
    """What a run has to say of the baseline.

    Attributes:
        file: the file, as people are to see it.
        known: the leaks of the run that the baseline knows.
        gone: the entries that were not seen any more; they are dropped if it was written.
        was_written: whether the run writes the baseline.
        added: how many leaks were new to it.
        unjudged: how many entries were kept although they were not seen, for the run has not looked everywhere.
        total: how many entries it has now.
    """

    file: str
    known: Sequence[Group] = ()
    gone: Sequence[Entry] = ()
    was_written: bool = False
    added: int = 0
    unjudged: int = 0
    total: int = 0


def describe_baseline(news: BaselineNews, *, lists: bool) -> list[str]:
    """Say what there is to say.

    Args:
        news: what that is.
        lists: whether to list known leaks and entries that are gone, too.

    Returns:
        The lines; none if nothing known was seen and nothing is gone.
    """
    lines: list[str] = []
    file = one_line(news.file)
    if news.was_written:
        changes = [f"{news.added} added"] if news.added else []
        changes += [f"{len(news.gone)} dropped"] if news.gone else []
        lines.append(
            f"baseline {file}: {_count(news.total, 'known leak', 'known leaks')}, {', '.join(changes) or 'as before'}"
        )
        if news.unjudged:
            kept = _count(news.unjudged, "entry was kept", "entries were kept")
            lines.append(f"{kept} without being seen: the run did not judge every test of theirs")
    elif news.known:
        hint = "" if lists else " (-rL lists them)"
        known = _count(len(news.known), "known leak", "known leaks")
        lines.append(f"{known} in {file} did not fail the run{hint}")
    if lists:
        lines += [f"known: {_describe_finding(group.finding)}" for group in news.known]
    if news.gone and not news.was_written:
        gone = _count(len(news.gone), "baseline entry was", "baseline entries were")
        them = "it" if len(news.gone) == 1 else "them"
        lines.append(f"{gone} not seen any more: run with --uno-leak-baseline-write to drop {them}")
    if lists:
        lines += [f"gone: {_describe_entry(entry)}" for entry in news.gone]
    return lines


def describe_unused(unused: Iterable[tuple[str, str]]) -> list[str]:
    """Name the patterns that allow leaks which are not there.

    Args:
        unused: where each stands, empty for the ini file, and the pattern.

    Returns:
        The lines, sorted: those of markers, then those of the ini file.
    """
    lines: list[str] = []
    for where, pattern in sorted(unused, key=lambda use: (not use[0], use)):
        shown = one_line(pattern)
        if where:
            lines.append(f'unused: allow_leaks="{shown}" on {shorten(one_line(where))}')
        else:
            lines.append(f'unused: uno_leak_allow "{shown}"')
    return lines


def _describe_finding(finding: Finding) -> str:
    origin = finding.created[0]
    place = f"{one_line(origin.file)}:{origin.line} in {shorten(one_line(origin.function))}"
    return f"{finding.rule} {place}: {shorten(one_line(finding.subject))}"


def _describe_entry(entry: Entry) -> str:
    return f"{entry.rule} {one_line(entry.file)} in {shorten(one_line(entry.function))} ({entry.fingerprint[:8]})"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
