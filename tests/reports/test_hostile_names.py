"""No name breaks a report: what holds for the harmless one holds for all."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_uno.reports.formats import FORMATS, render_report
from pytest_uno.reports.groups import RunSummary
from tests.reports.hostile_names import HOSTILE, JUDGEMENTS, hostile_groups
from tests.reports.workflow_commands import parse_command

RUN = RunSummary(5, "3.12.1", "shop")
SCHEMAS = Path(__file__).parent / "schemas"
THERE = [form for form in FORMATS if find_spec(f"pytest_uno.reports.{FORMATS[form].module}")]

# Whatever no viewer should be sent, but for the line end.
CONTROLS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


@functools.cache
def render(form: str, hostile: str) -> str:
    return render_report(form, hostile_groups(HOSTILE[hostile]), RUN)


every_name = pytest.mark.parametrize("hostile", HOSTILE)


@pytest.fixture(scope="module")
def validators() -> dict[str, Any]:
    def read(path: Any) -> Any:
        return json.loads(path.read_text(encoding="utf-8"))

    own = files("pytest_uno.reports").joinpath("leaks-1.schema.json")
    return {
        "json": jsonschema.Draft202012Validator(read(own)),
        "sarif": jsonschema.Draft4Validator(read(SCHEMAS / "sarif-schema-2.1.0.json")),
        "gitlab": jsonschema.Draft202012Validator(read(SCHEMAS / "gitlab-code-quality.schema.json")),
    }


def test_every_format_is_tested() -> None:
    assert sorted(THERE) == sorted(FORMATS)


def test_every_finding_is_a_leak_of_its_own() -> None:
    for text in HOSTILE.values():
        assert len(hostile_groups(text)) == 2 * len(JUDGEMENTS)


@every_name
@pytest.mark.parametrize("form", THERE)
def test_every_report_can_be_written_and_ends_its_last_line(form: str, hostile: str) -> None:
    text = render(form, hostile)
    text.encode("utf-8")
    assert text.endswith("\n")


@every_name
@pytest.mark.parametrize("form", [form for form in THERE if form not in ("json", "sarif", "gitlab")])
def test_nothing_that_commands_a_viewer_is_sent(form: str, hostile: str) -> None:
    text = render(form, hostile)
    # Indentation of a page or of code is none of the names'.
    assert CONTROLS.findall(text.replace("\t", " ")) == []


@pytest.mark.parametrize(
    ("form", "hostile"),
    [
        (form, hostile)
        for form in ("json", "sarif", "gitlab")
        for hostile in HOSTILE
        # The schema of our own format wants a subject: every detector says at least what kind of thing leaked.
        if (form, hostile) != ("json", "empty")
    ],
)
def test_json_keeps_to_its_schema_and_is_unicode(form: str, hostile: str, validators: dict[str, Any]) -> None:
    data = json.loads(render(form, hostile))
    validators[form].validate(data)
    for text in strings(data):
        text.encode("utf-8")  # no half of a surrogate pair, which strict readers refuse


@every_name
def test_no_name_makes_a_link_in_sarif(hostile: str) -> None:
    (run,) = json.loads(render("sarif", hostile))["runs"]
    for result in run["results"]:
        text = result["message"]["text"]
        assert len(re.findall(r"\]\(", text)) == len(result["relatedLocations"])
        for location in result["relatedLocations"]:
            assert "](" not in location["message"]["text"]


@every_name
def test_a_finding_is_one_command_of_github(hostile: str) -> None:
    lines = render("github", hostile).split("\n")
    assert lines.pop() == ""
    commands = [parse_command(line) for line in lines]
    harmless = render("github", "plain").splitlines()
    assert len(commands) == len(harmless) == 4
    for command in commands:
        assert command is not None
        assert command.name in ("error", "warning")
        assert list(command.properties) == ["file", "line", "title"]
        assert command.properties["title"] == "UNO101 pending-task"
        assert command.properties["line"].isdecimal()
        assert len(command.data.splitlines()) in (3, 4)


@every_name
def test_no_name_leaves_its_place_in_markdown(hostile: str) -> None:
    text = render("markdown", hostile)
    outside = list(outside_of_fences(text))
    harmless = list(outside_of_fences(render("markdown", "plain")))
    assert [shape(line) for line in outside] == [shape(line) for line in harmless]
    for line in outside:
        bare = re.sub("`[^`]*`", "", line)
        assert set(re.findall("<[^>]*>?", bare)) <= {
            "<details>",
            "</details>",
            "<summary>",
            "</summary>",
            "<code>",
            "</code>",
        }
        if line.startswith("|"):
            assert line.count("|") in (6, 7)
            assert "\\" not in bare


@every_name
def test_no_name_makes_an_element_in_html(hostile: str) -> None:
    def elements(name: str) -> list[str]:
        page = render("html", name)
        parser = _Elements()
        parser.feed(page)
        parser.close()
        return [element for element in parser.found if element in ("script", "img", "style", "html", "body")]

    if "html" in THERE:
        assert elements(hostile) == elements("plain")


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)


def strings(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from (key, *strings(value))
    elif isinstance(data, list):
        for value in data:
            yield from strings(value)


def outside_of_fences(text: str) -> Iterator[str]:
    fence = ""
    for line in text.split("\n"):
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if fence:
            if line == ticks and len(ticks) >= len(fence):
                fence = ""
        elif len(ticks) >= 3:
            fence = ticks
        else:
            yield line
    assert not fence


def shape(line: str) -> tuple[str, int]:
    """What makes the structure of a line: how it begins, and its cells."""
    begin = re.match(r"(### |\| \[UNO101\]|\|---|\| rule |</?details>(<summary>)?|_)?", line)
    assert begin is not None
    # In a title, which is HTML, a pipe is a pipe.
    cells = line.count("|") if line.startswith("|") else 0
    return (begin[0] or ("text" if line else ""), cells)
