from __future__ import annotations

import base64
import hashlib
import itertools
import random
import re
from collections import Counter
from typing import Any

import pytest

from pytest_uno.leaks.model import Frame
from pytest_uno.leaks.rules import FAMILIES, RULES
from pytest_uno.reports.creators import by_creator
from pytest_uno.reports.groups import Found, Level, RunSummary, Status, group_findings
from pytest_uno.reports.html import render_html
from pytest_uno.reports.kinds import KINDS, kind_of
from pytest_uno.reports.plain_text import escape_controls, one_line
from tests.reports.hostile_names import HOSTILE, hostile_groups
from tests.reports.html_page import Element, read_page
from tests.reports.test_gold_files import check

RUN = RunSummary(1200, "3.12.1", "shop")


def shape(page: Element) -> Counter[tuple[str, tuple[str, ...]]]:
    """Which elements there are, with which attributes; a cut name alone brings a title."""
    return Counter(
        (element.tag, tuple(sorted(element.attributes.keys() - {"title"}))) for element in page.all()
    )


def created_in(file: str, function: str, line: int = 1) -> tuple[Frame, ...]:
    return (Frame(file, line, function, "start()", True),)


@pytest.fixture
def judged(make_finding: Any) -> list[Found]:
    """A leak of every kind of each of two creators, seen in one test and in four."""
    judgements: list[tuple[Status, Level, str]] = [
        ("allowed", "error", "closes at exit, see SHOP-12"),
        ("baseline", "error", ""),
        ("allowed", "warn", ""),
        ("new", "error", ""),
    ]
    return [
        Found(make_finding(created=created_in(file, "start"), target=f"{judged}"), test, None, *judged)
        for file, tests in (("a.py", 1), ("b.py", 4))
        for judged in judgements
        for test in (f"t.py::test_{number}" for number in range(tests))
    ]


def test_the_gold_file(sightings: list[Any]) -> None:
    groups = group_findings(sightings)
    text = render_html(groups, RunSummary(5, "3.12.1", "shop"))
    # Style and script have tests of their own, and would bury a difference that is worth reading.
    text = re.sub(r"(<style>).*(</style>)", r"\1\2", text, flags=re.DOTALL)
    text = re.sub(r"(<script>).*(</script>)", r"\1\2", text, flags=re.DOTALL)
    check("report.html", re.sub(r"sha256-[\w+/]+=*", "sha256-", text))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_a_hostile_name_is_nothing_but_text(text: str) -> None:
    written = render_html(hostile_groups(text), RunSummary(3, text, text))
    assert "\r" not in written.encode().decode()
    page = read_page(written)
    # As many lines: long details are folded.
    harmless = re.sub(r"[^\n]", "x", text)
    twin = render_html(hostile_groups(harmless), RunSummary(3, harmless, harmless))
    assert shape(page) == shape(read_page(twin))
    new = next(group.fingerprint for group in hostile_groups(text) if group.status == "new")
    heading = page.one("article", id=new).one("h4")
    shown = one_line(text)
    if len(shown) <= 200:
        assert heading.text == f"new UNO101 {shown}"
    else:
        assert len(heading.one("span", title=shown).text) == 200


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_code_is_shown_whole(text: str) -> None:
    page = read_page(render_html(hostile_groups(text), RUN))
    blocks = {block.text for block in page.all("pre")}
    assert blocks == ({escape_controls(text)} if text else set())


def test_nothing_is_loaded_and_only_the_own_style_and_script_run(judged: list[Found]) -> None:
    page = read_page(render_html(group_findings(judged), RUN))
    for element in page.all():
        assert element.tag not in {
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "base",
            "source",
            "video",
            "audio",
        }
        assert not {"src", "srcset", "style", "action", "background"} & element.attributes.keys()
        assert not any(name.startswith("on") for name in element.attributes)
        if "href" in element.attributes:
            assert element.tag == "a"
    style, script = page.one("style").text, page.one("script").text
    assert not re.search(r"@import|url\(|@font-face", style)
    assert not re.search(r"fetch\(|XMLHttpRequest|import\b|https?:", script)
    policy = page.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for text, rule in ((style, "style-src"), (script, "script-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules.pop(rule) == f"'sha256-{digest}'"
    assert len(rules) == 3


def test_every_link_within_the_page_leads_somewhere(judged: list[Found], sightings: list[Found]) -> None:
    page = read_page(render_html(group_findings(judged + sightings), RUN))
    names = Counter(element.attributes["id"] for element in page.all() if "id" in element.attributes)
    assert set(names.values()) == {1}
    links = [element.attributes["href"] for element in page.all("a")]
    assert {link[1:] for link in links if link.startswith("#")} <= names.keys()
    docs = {RULES[code].docs for code in ("UNO101", "UNO102")}
    assert {link for link in links if not link.startswith("#")} == docs
    labels = {element.attributes.get("aria-labelledby") for element in page.all()}
    assert labels - {None} <= names.keys()


def test_anchors_do_not_change_with_what_else_leaks(judged: list[Found], sightings: list[Found]) -> None:
    few = read_page(render_html(group_findings(sightings), RUN))
    many = read_page(render_html(group_findings(sightings + judged), RUN))
    for tag in ("article", "details"):
        anchors = {element.attributes.get("id", "") for element in few.all(tag)}
        assert anchors <= {element.attributes.get("id", "") for element in many.all(tag)}
    for group in group_findings(sightings):
        assert few.one("article", id=group.fingerprint)


def test_the_order_of_arrival_and_the_workers_do_not_matter(
    judged: list[Found], sightings: list[Found]
) -> None:
    found = judged + sightings
    text = render_html(group_findings(found), RUN)
    shuffled = [one._replace(worker=f"gw{number % 3}") for number, one in enumerate(found)]
    random.Random(7).shuffle(shuffled)
    groups = group_findings(shuffled)
    assert render_html(groups, RUN) == text
    assert render_html(groups[::-1], RUN) == text


def test_new_leaks_come_first_and_what_was_judged_before_is_folded(judged: list[Found]) -> None:
    page = read_page(render_html(group_findings(judged), RUN))
    parts = list(page.all("section", **{"class": "kind"}))
    assert [part.attributes["id"] for part in parts] == list(KINDS)
    assert [part.one("h2").text for part in parts] == [
        "2 new leaks", "2 warnings", "2 known leaks", "2 allowed leaks",
    ]  # fmt: skip
    for part in parts:
        folds = list(part.all("details", **{"class": "part"}))
        assert len(folds) == (part.attributes["id"] in {"baseline", "allowed"})
        assert not any("open" in fold.attributes for fold in folds)
        assert all("open" in fold.attributes for fold in part.all("details", **{"class": "creator"}))
        kinds = {leak.attributes["data-kind"] for leak in part.all("article")}
        assert kinds == {part.attributes["id"]}
    reasons = [leak for leak in page.all("article") if "see SHOP-12" in leak.text]
    assert [leak.attributes["data-kind"] for leak in reasons] == ["allowed", "allowed"]


def test_the_creator_that_most_tests_suffer_from_comes_first(judged: list[Found]) -> None:
    page = read_page(render_html(group_findings(judged), RUN))
    for part in page.all("section", **{"class": "kind"}):
        heads = [next(creator.all("summary")).text for creator in part.all("details", **{"class": "creator"})]
        assert heads == ["start in b.py 1 leak · 4 tests", "start in a.py 1 leak · 1 test"]
    table = next(table for table in page.all("table") if table.one("caption").text == "Leaks by creator")
    rows = [[cell.text for cell in row.content if isinstance(cell, Element)] for row in table.all("tr")]
    assert rows == [
        ["Created in", "new", "warnings", "known", "allowed", "tests"],
        ["start in b.py", "1", "1", "1", "1", "4"],
        ["start in a.py", "1", "1", "1", "1", "1"],
    ]


def test_creators_and_their_leaks_are_ordered_by_the_tests_affected(make_finding: Any) -> None:
    numbers = {("z.py", "UNO101"): 2, ("z.py", "UNO205"): 3, ("a.py", "UNO101"): 4, ("a.py", "UNO102"): 1}
    found = [
        Found(make_finding(rule=rule, created=created_in(file, "f")), f"t.py::test_{file}_{rule}_{number}")
        for (file, rule), number in numbers.items()
        for number in range(number)
    ]
    creators = by_creator(group_findings(found))
    assert [(creator.file, creator.tests) for creator in creators] == [("a.py", 5), ("z.py", 5)]
    assert [[group.finding.rule for group in creator.groups] for creator in creators] == [
        ["UNO101", "UNO102"], ["UNO205", "UNO101"],
    ]  # fmt: skip


def test_one_test_that_leaks_twice_counts_once(make_finding: Any) -> None:
    found = [Found(make_finding(rule=rule), "t.py::test") for rule in ("UNO101", "UNO102", "UNO102")]
    page = read_page(render_html(group_findings(found), RUN))
    assert page.one("h1").text == "2 new leaks in 1 test"
    extents = [element.text for element in page.all("span", **{"class": "size"})]
    assert extents == ["2 leaks · 1 test", "1 test", "1 test, found 2 times"]


def test_the_header_says_what_was_judged(sightings: list[Found]) -> None:
    header = read_page(render_html(group_findings(sightings), RUN)).one("header")
    assert header.one("h1").text == "3 new leaks in 4 tests"
    facts = header.one("p").text
    assert re.fullmatch(r"project shop · 1,200 tests judged · Python 3\.12\.1 · pytest-uno \S+", facts)
    bare = read_page(render_html(group_findings(sightings), RunSummary(1))).one("header").one("p").text
    assert re.fullmatch(r"1 test judged · pytest-uno \S+", bare)


@pytest.mark.parametrize(
    ("kinds", "title"),
    [
        (KINDS, "2 new leaks in 4 tests"),
        (("warned", "baseline", "allowed"), "2 warnings in 4 tests"),
        (("baseline", "allowed"), "No new leaks"),
    ],
)
def test_the_title_names_what_is_most_urgent(judged: list[Found], kinds: tuple[str, ...], title: str) -> None:
    groups = [group for group in group_findings(judged) if kind_of(group) in kinds]
    page = read_page(render_html(groups, RUN))
    assert page.one("title").text == page.one("h1").text == title
    assert len(list(page.all("article", **{"class": "leak"}))) == 2 * len(kinds)


def test_without_columns_for_what_is_urgent_the_others_are_shown_on_a_phone(judged: list[Found]) -> None:
    old = read_page(render_html(group_findings(one for one in judged if one.status == "baseline"), RUN))
    assert next(old.one("section", id="summary").all("div")).attributes["class"] == "tables"
    every = read_page(render_html(group_findings(judged), RUN))
    assert next(every.one("section", id="summary").all("div")).attributes["class"] == "tables urgent"


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (1200, "All 1,200 tests left nothing behind: no task, no connection, no file."),
        (1, "The test left nothing behind: no task, no connection, no file."),
        (0, "No test was judged: none ran, or the detectors are switched off."),
    ],
)
def test_a_clean_run_gets_a_friendly_page(tests: int, said: str) -> None:
    text = render_html([], RunSummary(tests, "3.12.1", "shop"))
    page = read_page(text)
    assert page.one("h1").text == "No leaks"
    assert page.one("main").text.strip() == said
    assert not list(page.all("script"))
    assert "script-src" not in text
    assert not list(page.all("form"))


def test_long_lists_of_tests_are_folded(make_finding: Any) -> None:
    for tests, folded in ((5, 0), (6, 0), (7, 2), (1205, 1200)):
        found = [Found(make_finding(), f"t.py::test_{number:04}") for number in range(tests)]
        leak = next(read_page(render_html(group_findings(found), RUN)).all("article", **{"class": "leak"}))
        listed = [item.text for item in leak.all("li")]
        assert listed == [f"t.py::test_{number:04}" for number in range(tests)]
        folds = [fold for fold in leak.all("details") if "more test" in next(fold.all("summary")).text]
        assert sum(len(list(fold.all("li"))) for fold in folds) == folded
        if folds:
            assert next(folds[0].all("summary")).text == f"and {folded:,} more tests"
        label = f"Copy {tests:,} node IDs"
        assert leak.one("button").text == label


def test_long_details_are_folded(make_finding: Any) -> None:
    for lines, is_folded in ((12, False), (13, True)):
        details = "\n".join(f"line {number}" for number in range(lines))
        finding = make_finding(details=details, created=created_in("a.py", "f"), waiting_at=())
        page = read_page(render_html(group_findings([Found(finding, "t.py::t")]), RUN))
        leak = page.one("article", **{"class": "leak"})
        assert details in [block.text for block in leak.all("pre")]
        assert [fold.one("summary").text for fold in leak.all("details")] == (
            ["13 lines"] if is_folded else []
        )


def test_many_creators_are_folded_in_the_table(make_finding: Any) -> None:
    found = [
        Found(make_finding(created=created_in(f"{number:02}.py", "f")), "t.py::test") for number in range(30)
    ]
    page = read_page(render_html(group_findings(found), RUN))
    tables = {table.one("caption").text: table for table in page.all("table")}
    rows = {
        caption: len([row for row in table.all("tr") if any(row.all("a"))])
        for caption, table in tables.items()
    }
    assert rows == {"Leaks by rule": 1, "Leaks by creator": 12, "The other creators": 18}
    assert "and 18 more creators" in [summary.text for summary in page.all("summary")]
    rule = page.one("article", id="rule-UNO101")
    assert rule.one("summary").text == "30 leaks"
    assert len(list(rule.all("code"))) == 30 + RULES["UNO101"].fix.count("`") // 2


def test_a_table_counts_by_family_rule_and_kind(make_finding: Any) -> None:
    found = [
        Found(make_finding(rule="UNO101"), "t.py::test_a"),
        Found(make_finding(rule="UNO102"), "t.py::test_a"),
        Found(make_finding(rule="UNO102"), "t.py::test_b"),
        Found(make_finding(rule="UNO301"), "t.py::test_b", None, "baseline"),
    ]
    page = read_page(render_html(group_findings(found), RUN))
    table = next(page.all("table"))
    rows = [[cell.text for cell in row.content if isinstance(cell, Element)] for row in table.all("tr")]
    assert rows == [
        ["Rule", "new", "known", "tests"],
        ["Tasks", "2", "", "2"],
        ["UNO101 pending-task", "1", "", "1"],
        ["UNO102 unretrieved-exception", "1", "", "2"],
        ["Database", "", "1", "1"],
        ["UNO301 open-session", "", "1", "1"],
    ]


def test_every_rule_can_be_shown(make_finding: Any) -> None:
    groups = group_findings(Found(make_finding(rule=rule), "t.py::test") for rule in RULES)
    page = read_page(render_html(groups, RUN))
    for rule in RULES.values():
        meaning = page.one("article", id=f"rule-{rule.code}")
        assert rule.fix.replace("`", "") in meaning.text
        assert "`" not in meaning.text
    assert len(list(page.all("tr", **{"class": "family"}))) == len(FAMILIES)


def test_the_owner_is_named_where_it_is_a_fixture(sightings: list[Found]) -> None:
    page = read_page(render_html(group_findings(sightings), RUN))
    owners = {
        leak.attributes["id"]: [row for row in leak.all("dt") if row.text == "Owner"]
        for leak in page.all("article", **{"class": "leak"})
    }
    assert {key for key, rows in owners.items() if rows} == {
        one.finding.fingerprint for one in sightings if one.finding.owner.kind == "fixture"
    }


def test_controls_that_need_the_script_are_hidden_without_it(judged: list[Found]) -> None:
    page = read_page(render_html(group_findings(judged), RUN))
    for button in itertools.chain(page.all("button"), page.all("input")):
        inside = button in list(page.one("form", id="filter").all())
        assert inside or "needs-js" in button.attributes["class"].split()
    assert "needs-js" in page.one("form").attributes["class"].split()
    assert "html:not(.js) .needs-js" in page.one("style").text
