from __future__ import annotations

from typing import Any

from pytest_uno.leaks.rules import RULES
from pytest_uno.reports.groups import Found, RunSummary, group_findings
from pytest_uno.reports.terminal import render_finding, render_terminal, summarize


def test_nothing_to_say_without_leaks() -> None:
    assert summarize([], RunSummary(3)) == []


def test_numbers_of_one_are_singular(make_finding: Any) -> None:
    groups = group_findings([Found(make_finding(), "tests/test_x.py::test_x")])
    lines = [line.text for line in summarize(groups, RunSummary(1))]
    assert lines[0] == "1 distinct leak, seen in 1 of 1 test"
    assert lines[3].endswith("seen in 1 test: test_x")


def test_many_tests_are_cut_short(make_finding: Any) -> None:
    found = [Found(make_finding(), f"tests/test_x.py::test_{index}") for index in range(9)]
    line = summarize(group_findings(found), RunSummary(9))[3].text
    assert line.endswith("seen in 9 tests: test_0, test_1, test_2, test_3, test_4 and 4 more")


def test_prose_is_wrapped_at_78_columns(make_finding: Any) -> None:
    for code in RULES:
        text = render_finding(make_finding(rule=code, created=make_finding().waiting_at))
        fix = text[text.index("    fix") : text.index("    docs")].splitlines()
        assert max(map(len, fix)) <= 78
        assert " ".join(line[16:] for line in fix) == RULES[code].fix


def test_a_frame_without_source_has_no_line_for_it(make_finding: Any) -> None:
    frame = make_finding().waiting_at[0]
    bare = type(frame)(frame.file, frame.line, frame.function, "", True)
    text = render_finding(make_finding(created=(bare,), waiting_at=()))
    assert "awaited by" not in text
    assert text.splitlines()[3].startswith("    fix")


def test_a_whole_report_of_nothing_is_a_line() -> None:
    assert render_terminal([], RunSummary(1)) == "leaks: none in 1 test\n"
    assert render_terminal([], RunSummary(3)) == "leaks: none in 3 tests\n"
