from __future__ import annotations

import html
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_uno.reports.groups import Found, Group, RunSummary, group_findings
from pytest_uno.reports.markdown import inline_code, render_markdown
from pytest_uno.reports.wording import name

RUN = RunSummary(5, "3.12.1", "shop")
MEBIBYTE = 1024 * 1024


def many(make_finding: Any, number: int, text: str = "", **judgement: Any) -> list[Group]:
    return group_findings(
        Found(
            make_finding(target=f"poll_{index}", subject=f"task {index} {text}"),
            f"tests/test_x.py::test_{index}[{text}]",
            None,
            **judgement,
        )
        for index in range(number)
    )


def headline(groups: list[Group], run: RunSummary = RUN) -> str:
    return render_markdown(groups, run).splitlines()[0]


def test_the_headline_says_how_the_run_ended(make_finding: Any, sightings: list[Any]) -> None:
    assert headline([]) == "### :white_check_mark: No async leaks in 5 tests"
    assert headline([], RunSummary(1)) == "### :white_check_mark: No async leaks in 1 test"
    assert headline(many(make_finding, 1)) == "### :x: 1 async leak in 1 test"
    assert headline(group_findings(sightings)) == "### :x: 3 async leaks in 4 tests"
    warned = many(make_finding, 2, status="allowed", level="warn")
    assert headline(warned) == "### :warning: 2 async leaks, which failed no test"
    known = many(make_finding, 2, status="baseline")
    assert headline(known) == "### :white_check_mark: No new async leaks in 5 tests"


def test_what_does_not_fail_is_counted_and_folded(make_finding: Any) -> None:
    groups = [
        *many(make_finding, 2, "w", status="allowed", level="warn"),
        *many(make_finding, 2, "b", status="baseline"),
        *many(make_finding, 2, "a", status="allowed"),
    ]
    titles = re.findall("<summary>(.*)</summary>", render_markdown(groups, RUN))
    assert titles == ["2 leaks that only warn", "2 known leaks in the baseline", "2 allowed leaks"]


def test_each_new_leak_has_a_block_with_its_text_and_its_tests(sightings: list[Any]) -> None:
    text = render_markdown(group_findings(sightings), RUN)
    assert text.count("<details>") == text.count("</details>") == 3
    assert "receipt = await queue.get()\n" in text
    assert "seen in:\n  tests/test_hub.py::TestHub::test_hub[a::b]\n```" in text


def test_a_block_names_no_more_than_twenty_tests(make_finding: Any) -> None:
    found = [Found(make_finding(), f"tests/test_x.py::test_{index:02}") for index in range(22)]
    text = render_markdown(group_findings(found), RUN)
    assert "::test_19\n  and 2 more tests\n```" in text
    assert "::test_20" not in text


def test_the_fence_is_longer_than_any_in_the_text(make_finding: Any) -> None:
    finding = make_finding(details="`````\nno end\n`````")
    text = render_markdown(group_findings([Found(finding, "tests/test_x.py::test_x")]), RUN)
    assert text.count("\n``````text\n") == text.count("\n``````\n") == 1


def test_many_large_leaks_stay_well_below_the_limit_and_are_counted(make_finding: Any) -> None:
    groups = [
        *many(make_finding, 1_000, "€" * 1_000),
        *many(make_finding, 1_000, "w" * 1_000, status="allowed", level="warn"),
        *many(make_finding, 1_000, "b" * 1_000, status="baseline"),
        *many(make_finding, 1_000, "a" * 1_000, status="allowed", reason="r" * 1_000),
    ]
    text = render_markdown(groups, RUN)
    assert MEBIBYTE * 0.4 < len(text.encode()) < MEBIBYTE * 0.51
    left_out = [
        int(number) for number in re.findall("^_(\\d+) more leaks left out here: ", text, re.MULTILINE)
    ]
    assert len(left_out) == 5
    table, _, _ = text.partition("<details>")
    assert table.count("\n| [UNO101]") + left_out[0] == 1_000
    assert text.count("```text") + left_out[1] == 1_000
    assert text.endswith("</details>\n")


@given(st.text() | st.text("`|\\ a<&_*"))
def test_a_name_in_a_cell_is_code_and_comes_back(text: str) -> None:
    cell = inline_code(text)
    assert "|" not in cell
    assert "\n" not in cell
    if cell.startswith("`"):
        assert re.fullmatch("`[^`]+`", cell)
        assert cell[1:-1] == name(text)
    else:
        inner = cell.removeprefix("<code>").removesuffix("</code>")
        assert not re.search(r"[^\w\s&#;]|_", inner)
        assert html.unescape(inner) == (name(text) or " ")
