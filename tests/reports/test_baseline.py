"""The baseline: read as it was written, the same whatever came first, and what is no baseline."""

from __future__ import annotations

import json
import random
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_uno.leaks.model import Finding, Frame, OwnerInfo
from pytest_uno.reports.baseline import Baseline, BaselineError, make_entry, merge, parse, render
from pytest_uno.reports.groups import Found, Group, RunSummary, group_findings
from pytest_uno.reports.json_report import render_json

NAME = "leaks-baseline.json"
NAMES = st.text(max_size=8)
PATHS = st.sampled_from(["shop/a.py", "shop/b.py", "tests/test_a.py"])


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    frame = Frame(draw(PATHS), draw(st.integers(1, 9)), draw(NAMES), draw(NAMES), draw(st.booleans()))
    rule = draw(st.sampled_from(["UNO101", "UNO203"]))
    owner = OwnerInfo("test", "test_it", "function")
    return Finding(rule, draw(st.text(min_size=1)), draw(NAMES), (frame,), (), draw(st.none() | NAMES), owner)


FOUND = st.lists(
    st.builds(Found, findings(), NAMES, st.sampled_from([None, "gw0", "gw1"]), st.just("baseline")),
    max_size=8,
)


def text_of(groups: list[Group]) -> str:
    return render(merge(Baseline(), groups), "shop")


@settings(deadline=None)
@given(FOUND)
def test_what_is_written_is_read_and_written_again_the_same(found: list[Found]) -> None:
    groups = group_findings(found)
    text = text_of(groups)
    baseline = parse(text, NAME)
    assert baseline.fingerprints == {group.fingerprint for group in groups}
    assert baseline.project == "shop"
    assert {test for entry in baseline.entries for test in entry.tests} == {
        test for group in groups for test in group.tests
    }
    assert render(baseline, "other") == text
    assert render(merge(baseline, groups), "other") == text
    assert text.isascii()


@settings(deadline=None)
@given(FOUND, st.randoms())
def test_the_order_of_arrival_does_not_matter(found: list[Found], shuffler: random.Random) -> None:
    groups = group_findings(found)
    shuffled = list(groups)
    shuffler.shuffle(shuffled)
    assert text_of(shuffled) == text_of(groups)
    first, second = shuffled[: len(groups) // 2], shuffled[len(groups) // 2 :]
    assert render(merge(merge(Baseline(), first), second), "shop") == text_of(groups)


@settings(deadline=None)
@given(FOUND)
def test_two_branches_that_were_merged_know_what_both_knew(found: list[Found]) -> None:
    groups = group_findings(found)
    ours, theirs = json.loads(text_of(groups[::2])), json.loads(text_of(groups))
    ours["leaks"] += theirs["leaks"]
    assert render(parse(json.dumps(ours), NAME), "shop") == text_of(groups)


@settings(deadline=None)
@given(FOUND)
def test_what_is_gone_is_dropped_and_nothing_else(found: list[Found]) -> None:
    groups = group_findings(found)
    baseline = parse(text_of(groups), NAME)
    gone = [group.fingerprint for group in groups[::2]]
    assert render(merge(baseline, [], gone), "shop") == text_of(groups[1::2])


def test_an_entry_stays_as_it_is_when_its_leak_moves(make_finding: Any) -> None:
    def group(line: int, test: str) -> list[Group]:
        frame = Frame("shop/poller.py", line, "start_poller", f"create_task(poll{line}())", True)
        return group_findings([Found(make_finding(created=(frame,)), test)])

    baseline = parse(text_of(group(11, "test_a")), NAME)
    assert render(merge(baseline, group(99, "test_b")), "shop") == text_of(group(11, "test_a"))


def test_the_order_is_by_what_stays(make_finding: Any) -> None:
    places = [("shop/b.py", 1, "f"), ("shop/a.py", 9, "a"), ("shop/a.py", 1, "b")]
    groups = group_findings(
        Found(make_finding(created=(Frame(file, line, function, "", True),)), "test_it")
        for file, line, function in places
    )
    entries = parse(text_of(groups), NAME).entries
    assert [(entry.rule, entry.file, entry.function) for entry in entries] == [
        ("UNO101", "shop/a.py", "a"),
        ("UNO101", "shop/a.py", "b"),
        ("UNO101", "shop/b.py", "f"),
    ]


def test_nothing_of_one_run_or_machine_is_in_it(sightings: list[Found]) -> None:
    groups = group_findings(sightings)
    text = text_of(groups)
    assert "gw0" not in text
    assert "/opt/python3.12" not in text
    assert {entry.fingerprint for entry in map(make_entry, groups)} == {g.fingerprint for g in groups}
    data = json.loads(text)
    assert {leak["status"] for leak in data["leaks"]} == {"baseline"}
    assert data["summary"] == {"distinct": 3, "total": 5, "tests": 4}


def test_it_keeps_to_the_schema_of_the_report(sightings: list[Found]) -> None:
    schema = json.loads(files("pytest_uno.reports").joinpath("leaks-1.schema.json").read_text("utf-8"))
    jsonschema.validate(json.loads(text_of(group_findings(sightings))), schema)
    jsonschema.validate(json.loads(text_of([])), schema)


def test_every_report_may_become_a_baseline(sightings: list[Found]) -> None:
    groups = group_findings(sightings)
    baseline = parse(render_json(groups, RunSummary(5, "3.12.1", "shop")), NAME)
    assert baseline.fingerprints == {group.fingerprint for group in groups}
    data = json.loads(render(baseline, "other"))
    assert data["project"] == "shop"
    assert {leak["status"] for leak in data["leaks"]} == {"baseline"}
    assert {sighting["worker"] for leak in data["leaks"] for sighting in leak["seen"]} == {None}


def test_what_a_later_version_has_added_is_kept(sightings: list[Found]) -> None:
    data = json.loads(text_of(group_findings(sightings)))
    data["extra"] = [1]
    data["tool"]["version"] = "99.0"
    data["leaks"][0]["extra"] = {"a": None}
    kept = json.loads(render(parse(json.dumps(data), NAME), "shop"))
    assert kept == data


def test_a_byte_order_mark_does_not_matter() -> None:
    assert parse("\ufeff" + text_of([]), NAME) == parse(text_of([]), NAME)


CONFLICT = """{
  "leaks": [
<<<<<<< HEAD
    {},
=======
>>>>>>> theirs
  ]
}"""


def changed(**members: Any) -> str:
    return json.dumps({**json.loads(text_of([])), **members})


LEAK: dict[str, Any] = {
    "fingerprint": "0123456789abcdef",
    "rule": "UNO101",
    "created": [{"file": "a.py", "function": "f", "in_app": True}],
    "seen": [{"test": "test_it"}],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", f"the baseline {NAME} is not JSON: Expecting value, in line 1, column 1"),
        (
            '{"a": 1,\n  oops}',
            "is not JSON: Expecting property name enclosed in double quotes, in line 2, column 3",
        ),
        ("[" * 100_000, "is not JSON: "),
        ("[1" + "0" * 10_000 + "]", "is no"),
        (CONFLICT, "has conflict markers of a merge in it"),
        (CONFLICT.replace("\n", "\r\n"), "has conflict markers of a merge in it"),
        (
            changed(format=2, tool={"name": "pytest-uno", "version": "9.1"}),
            "has format 2, written by pytest-uno 9.1; this version reads format 1",
        ),
        (changed(format=0), "is no baseline"),
        (changed(format=True), "is no baseline"),
        (changed(format="1"), "is no baseline"),
        (changed(tool={"name": "other"}), "is no baseline"),
        (changed(tool=None, format=2), "is no baseline"),
        (changed(leaks=None), "is no baseline"),
        ("[]", "is no baseline: it is not a JSON report of pytest-uno"),
        (changed(leaks=[LEAK, 1]), "is damaged: leak 2 has no members"),
        (changed(leaks=[{**LEAK, "fingerprint": "xyz"}]), "leak 1 has no fingerprint"),
        (changed(leaks=[{**LEAK, "rule": None}]), "leak 1 has no rule"),
        (changed(leaks=[{**LEAK, "created": []}]), "leak 1 has no frames of its creation"),
        (changed(leaks=[{**LEAK, "created": [{"file": 1}]}]), "leak 1 has no frames of its creation"),
        (changed(leaks=[{**LEAK, "seen": [1]}]), "leak 1 has no tests it was seen in"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_what_is_no_baseline(text: str, expected: str) -> None:
    with pytest.raises(BaselineError) as caught:
        parse(text, NAME)
    message = str(caught.value)
    assert expected in message
    assert "\n  fix: " in message
    assert "#bad-baseline" in message


def test_the_least_that_an_entry_needs() -> None:
    (entry,) = parse(changed(leaks=[LEAK, LEAK]), NAME).entries
    assert (entry.rule, entry.file, entry.function) == ("UNO101", "a.py", "f")
    assert entry.tests == ("test_it",)
    assert entry.own_files == {"a.py"}
    assert parse(changed(project=1), NAME).project == ""
