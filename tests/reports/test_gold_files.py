"""The reports, letter for letter. After a wanted change run with UNO_WRITE_GOLD=1 and read the difference."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from pytest_uno.reports.formats import render_report
from pytest_uno.reports.groups import RunSummary, group_findings
from pytest_uno.reports.json_report import render_json
from pytest_uno.reports.terminal import render_finding, summarize

RUN = RunSummary(5, "3.12.1", "shop")
GOLD = Path(__file__).parent / "gold"


def check(name: str, text: str) -> None:
    path = GOLD / name
    if os.environ.get("UNO_WRITE_GOLD"):
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("index", "name"), [(0, "poller"), (2, "hub"), (3, "feed")])
def test_finding(sightings: list[Any], index: int, name: str) -> None:
    text = render_finding(sightings[index][0])
    check(f"finding-{name}.txt", text + "\n")
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_summary(sightings: list[Any]) -> None:
    check("summary.txt", "\n".join(line.text for line in summarize(group_findings(sightings), RUN)) + "\n")


def test_json(sightings: list[Any]) -> None:
    check("report.json", render_json(group_findings(sightings), RUN))


def test_the_order_of_arrival_does_not_matter(sightings: list[Any]) -> None:
    random.Random(7).shuffle(sightings)
    check("report.json", render_json(group_findings(sightings), RUN))
    check("summary.txt", "\n".join(line.text for line in summarize(group_findings(sightings), RUN)) + "\n")


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("sarif", "report.sarif"),
        ("gitlab", "report-gitlab.json"),
        ("github", "report-github.txt"),
        ("markdown", "report.md"),
    ],
)
def test_formats_for_services(judged: list[Any], form: str, name: str) -> None:
    random.Random(7).shuffle(judged)
    check(name, render_report(form, group_findings(judged), RUN))
