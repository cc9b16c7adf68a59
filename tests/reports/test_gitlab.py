from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_uno.leaks.model import Frame, OwnerInfo
from pytest_uno.reports.gitlab import render_gitlab
from pytest_uno.reports.groups import Found, RunSummary, group_findings

RUN = RunSummary(5, "3.12.1", "shop")
SCHEMA = Path(__file__).parent / "schemas" / "gitlab-code-quality.schema.json"
LIBRARY = Frame("/opt/python3.12/site-packages/feed/core.py", 7, "Feed.open", "", False)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


def test_the_report_keeps_to_the_schema(schema: dict[str, Any], judged: list[Any]) -> None:
    issues = json.loads(render_gitlab(group_findings(judged), RUN))
    jsonschema.validate(issues, schema)
    assert len({issue["fingerprint"] for issue in issues}) == len(issues) == 6
    assert render_gitlab([], RUN) == "[]\n"


def test_the_judgement_decides_on_the_severity_and_what_fails_comes_first(judged: list[Any]) -> None:
    issues = json.loads(render_gitlab(group_findings(judged), RUN))
    assert [(issue["check_name"], issue["severity"]) for issue in issues] == [
        ("UNO101", "major"),
        ("UNO101", "major"),
        ("UNO102", "major"),
        ("UNO601", "minor"),
        ("UNO402", "minor"),
        ("UNO502", "info"),
    ]


@pytest.mark.parametrize(
    ("owner", "place"),
    [
        (OwnerInfo("fixture", "feed", "module", "tests/conftest.py", 12), ("tests/conftest.py", 12)),
        (OwnerInfo("fixture", "feed", "module", "tests/conftest.py"), ("tests/conftest.py", 1)),
        (OwnerInfo("fixture", "feed", "module", "/opt/feed/fixtures.py", 12), ("tests/test_x.py", 1)),
        (OwnerInfo("fixture", "feed", "module", "C:\\feed\\fixtures.py", 12), ("tests/test_x.py", 1)),
        (OwnerInfo("fixture", "feed", "module", "../feed/fixtures.py", 12), ("tests/test_x.py", 1)),
        (OwnerInfo("session", "", "session"), ("tests/test_x.py", 1)),
    ],
)
def test_a_leak_of_libraries_alone_is_shown_in_the_repository(
    make_finding: Any, owner: OwnerInfo, place: tuple[str, int]
) -> None:
    finding = make_finding(created=(LIBRARY,), waiting_at=(LIBRARY,), owner=owner)
    (issue,) = json.loads(
        render_gitlab(group_findings([Found(finding, "tests/test_x.py::test_x[a::b]")]), RUN)
    )
    assert (issue["location"]["path"], issue["location"]["lines"]["begin"]) == place
    assert "created at /opt/python3.12/site-packages/feed/core.py:7 in Feed.open" in issue["description"]
