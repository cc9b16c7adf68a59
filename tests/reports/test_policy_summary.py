"""What the leak report says of the baseline and of patterns, line by line."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_uno.reports.baseline import make_entry
from pytest_uno.reports.groups import Found, group_findings
from pytest_uno.reports.policy_summary import BaselineNews, describe_baseline, describe_unused


@pytest.fixture
def groups(sightings: list[Any]) -> list[Any]:
    return group_findings(sightings)


def test_nothing_known_and_nothing_gone_is_not_worth_a_line() -> None:
    assert describe_baseline(BaselineNews("b.json"), lists=True) == []


def test_known_leaks_are_counted_or_listed(groups: list[Any]) -> None:
    news = BaselineNews("b.json", groups)
    assert describe_baseline(news, lists=False) == [
        "3 known leaks in b.json did not fail the run (-rL lists them)"
    ]
    lines = describe_baseline(news, lists=True)
    assert lines[0] == "3 known leaks in b.json did not fail the run"
    assert "known: UNO101 shop/poller.py:11 in start_poller: task 'receipt-poller' running poll()" in lines
    assert len(lines) == 4
    assert describe_baseline(BaselineNews("b.json", groups[:1]), lists=False)[0].startswith("1 known leak in")


def test_what_is_gone_is_announced(groups: list[Any]) -> None:
    entries = [make_entry(group) for group in groups]
    one = describe_baseline(BaselineNews("b.json", gone=entries[:1]), lists=False)
    assert one == [
        "1 baseline entry was not seen any more: run with --uno-leak-baseline-write to drop it",
    ]
    two = describe_baseline(BaselineNews("b.json", gone=entries[:2]), lists=True)
    assert two[0].startswith("2 baseline entries were not seen any more: ")
    assert two[0].endswith(" to drop them")
    assert f"gone: UNO101 shop/poller.py in start_poller ({groups[1].fingerprint[:8]})" in two


def test_what_was_written(groups: list[Any]) -> None:
    gone = [make_entry(groups[0])]
    news = BaselineNews("b.json", groups[1:], gone, was_written=True, added=1, unjudged=2, total=4)
    assert describe_baseline(news, lists=False) == [
        "baseline b.json: 4 known leaks, 1 added, 1 dropped",
        "2 entries were kept without being seen: the run did not judge every test of theirs",
    ]
    same = BaselineNews("b.json", groups[:1], was_written=True, total=1)
    assert describe_baseline(same, lists=False) == ["baseline b.json: 1 known leak, as before"]


def test_unused_patterns_those_of_markers_first() -> None:
    unused = [("", "UNO101 a.py::f"), ("tests/test_b.py::test_b", "UNO102"), ("tests/test_a.py", "UNO1xx")]
    assert describe_unused(unused) == [
        'unused: allow_leaks="UNO1xx" on tests/test_a.py',
        'unused: allow_leaks="UNO102" on tests/test_b.py::test_b',
        'unused: uno_leak_allow "UNO101 a.py::f"',
    ]


def test_names_cannot_command_the_terminal(make_finding: Any) -> None:
    name = "test_it[\x1b[31m\n" + "x" * 10_000
    (line,) = describe_unused([(name, "UNO102")])
    assert line.isprintable()
    assert len(line) < 400
    group = group_findings([Found(make_finding(subject=name), "test_it")])
    *_, listed = describe_baseline(BaselineNews("b.json", group), lists=True)
    assert listed.isprintable()
    assert len(listed) < 400
