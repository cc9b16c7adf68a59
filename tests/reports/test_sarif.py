from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_uno.leaks.model import Frame
from pytest_uno.leaks.rules import RULES
from pytest_uno.reports import sarif
from pytest_uno.reports.groups import Found, Group, RunSummary, group_findings
from pytest_uno.reports.sarif import FINGERPRINT_KEY, file_uri, render_sarif

RUN = RunSummary(5, "3.12.1", "shop")
SCHEMA = Path(__file__).parent / "schemas" / "sarif-schema-2.1.0.json"


@pytest.fixture(scope="module")
def validator() -> Any:
    return jsonschema.Draft4Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def render(groups: list[Group]) -> dict[str, Any]:
    (run,) = json.loads(render_sarif(groups, RUN))["runs"]
    assert isinstance(run, dict)
    return run


def many(make_finding: Any, number: int, **judgement: Any) -> list[Group]:
    return group_findings(
        Found(make_finding(target=f"poll_{index}"), f"tests/test_x.py::test_{index}", None, **judgement)
        for index in range(number)
    )


def test_the_report_keeps_to_the_schema(validator: Any, judged: list[Any]) -> None:
    validator.validate(json.loads(render_sarif(group_findings(judged), RUN)))
    validator.validate(json.loads(render_sarif([], RUN)))


def test_every_rule_is_described_and_found_by_its_index(validator: Any, make_finding: Any) -> None:
    found = [Found(make_finding(rule=code), "tests/test_x.py::test_x") for code in RULES]
    text = render_sarif(group_findings(found), RUN)
    validator.validate(json.loads(text))
    run = json.loads(text)["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted(RULES)
    for result in run["results"]:
        rule = rules[result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        assert RULES[rule["id"]].fix in rule["help"]["text"]
        assert RULES[rule["id"]].fix in rule["help"]["markdown"]
        assert rule["helpUri"] == RULES[rule["id"]].docs
        assert rule["defaultConfiguration"]["level"] == {"warn": "warning"}.get(
            RULES[rule["id"]].level, "error"
        )


def test_only_rules_that_occur_are_described(judged: list[Any]) -> None:
    run = render(group_findings(judged))
    occurring = {result["ruleId"] for result in run["results"]}
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == occurring < set(RULES)


def test_the_judgement_decides_on_level_suppression_and_baseline(judged: list[Any]) -> None:
    results = {
        result["partialFingerprints"][FINGERPRINT_KEY]: result
        for result in render(group_findings(judged))["results"]
    }
    seen = []
    for group in group_findings(judged):
        result = results[group.fingerprint]
        seen.append((group.status, group.level))
        level, state, suppressions = {
            ("new", "error"): ("error", "new", None),
            ("allowed", "warn"): ("warning", "new", None),
            ("baseline", "error"): ("note", "unchanged", None),
            ("allowed", "error"): (
                "note",
                "new",
                [{"kind": "external", "justification": "until a | b is gone"}],
            ),
        }[group.status, group.level]
        assert (result["level"], result["baselineState"]) == (level, state)
        assert result.get("suppressions") == suppressions
    assert len(set(seen)) == 4


def test_without_a_baseline_nothing_is_compared_and_a_reason_may_be_missing(make_finding: Any) -> None:
    (result,) = render(many(make_finding, 1, status="allowed"))["results"]
    assert "baselineState" not in result
    assert result["suppressions"] == [{"kind": "external"}]


def test_every_related_location_is_linked_in_the_message(judged: list[Any]) -> None:
    linked = 0
    for result in render(group_findings(judged))["results"]:
        text = result["message"]["text"]
        related = result.get("relatedLocations", [])
        assert [location["id"] for location in related] == list(range(1, len(related) + 1))
        assert [text.count(f"[here]({location['id']})") for location in related] == [1] * len(related)
        assert text.count("](") == len(related)
        linked += len(related)
    assert linked == 5


def test_a_library_is_left_for_the_line_that_called_it(judged: list[Any]) -> None:
    (server,) = [r for r in render(group_findings(judged))["results"] if r["ruleId"] == "UNO402"]
    (location,) = server["locations"]
    assert location["physicalLocation"]["artifactLocation"] == {"uri": "shop/app.py", "uriBaseId": "SRCROOT"}
    (creation,) = server["relatedLocations"]
    assert creation["physicalLocation"]["artifactLocation"] == {
        "uri": "file:///opt/python3.12/site-packages/web/serve.py"
    }
    assert creation["message"]["text"] == "created in serve"
    assert "A library created it [here](1)." in server["message"]["text"]


def test_regions_have_all_four_fields_and_count_code_points(make_finding: Any) -> None:
    frame = Frame("shop/a.py", 7, "start", "start('😀')", True)
    bare = Frame("shop/a.py", 3, "main", "", True)
    run = render(group_findings([Found(make_finding(created=(frame, bare)), "tests/test_x.py::test_x")]))
    (result,) = run["results"]
    assert run["columnKind"] == "unicodeCodePoints"
    assert result["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 7,
        "startColumn": 1,
        "endLine": 7,
        "endColumn": 11,
        "snippet": {"text": "start('😀')"},
    }
    assert result["relatedLocations"][0]["physicalLocation"]["region"] == {
        "startLine": 3,
        "startColumn": 1,
        "endLine": 3,
        "endColumn": 2,
    }


def test_the_flow_goes_from_the_outermost_caller_to_the_place_where_it_waits(make_finding: Any) -> None:
    run = render(group_findings([Found(make_finding(), "tests/test_x.py::test_x")]))
    (flow,) = run["results"][0]["codeFlows"]
    (thread,) = flow["threadFlows"]
    steps = [step["location"]["message"]["text"] for step in thread["locations"]]
    assert steps == ["test_checkout_sends_receipt", "start_poller", "poll"]


def test_one_place_is_no_flow(make_finding: Any) -> None:
    finding = make_finding(created=make_finding().created[:1], waiting_at=())
    (result,) = render(group_findings([Found(finding, "tests/test_x.py::test_x")]))["results"]
    assert "codeFlows" not in result
    assert "relatedLocations" not in result


def test_no_more_than_a_service_shows_and_the_new_ones_first(
    validator: Any, make_finding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sarif._MOST_RESULTS == 5_000
    monkeypatch.setattr(sarif, "_MOST_RESULTS", 20)
    known = many(make_finding, 23, status="baseline")
    new = group_findings([Found(make_finding(rule="UNO601"), "tests/test_x.py::test_x")])
    text = render_sarif([*known, *new], RUN)
    validator.validate(json.loads(text))
    run = json.loads(text)["runs"][0]
    assert len(run["results"]) == 20
    assert run["results"][0]["ruleId"] == "UNO601"
    assert {result["ruleId"] for result in run["results"][1:]} == {"UNO101"}
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notification["message"]["text"].startswith("4 more leaks of this run left out")
    assert "toolExecutionNotifications" not in render(known[:20])["invocations"][0]


def test_names_are_whole_where_machines_read_them(make_finding: Any) -> None:
    subject = "task " + "x" * 10_000
    groups = group_findings([Found(make_finding(subject=subject), f"tests/test_x.py::test_x[{subject}]")])
    (result,) = render(groups)["results"]
    assert result["properties"]["subject"] == subject
    assert result["properties"]["tests"] == [f"tests/test_x.py::test_x[{subject}]"]
    assert len(result["message"]["text"]) < 1_000


@pytest.mark.parametrize(
    ("file", "in_app", "uri"),
    [
        ("shop/a b#c?.py", True, "shop/a%20b%23c%3F.py"),
        ("a:b.py", True, "a%3Ab.py"),
        ("/opt/a b.py", False, "file:///opt/a%20b.py"),
        ("C:\\lib\\a b.py", False, "file:///C:/lib/a%20b.py"),
        ("C:/lib/a.py", False, "file:///C:/lib/a.py"),
        ("\\\\host\\share\\a.py", False, "file://host/share/a.py"),
        ("<string>", False, "%3Cstring%3E"),
        ("shop/\udcff.py", True, "shop/%FF.py"),
    ],
)
def test_uris(file: str, in_app: bool, uri: str) -> None:
    assert file_uri(Frame(file, 1, "f", "", in_app)) == uri


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_uri_is_one_path_that_leads_back_to_the_file(file: str) -> None:
    uri = file_uri(Frame(f"shop/{file}", 1, "f", "", True))
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("", "", "", "")
    assert unquote_to_bytes(parts.path).decode() == f"shop/{file}"
    assert uri.isascii()
