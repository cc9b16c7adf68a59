from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from pytest_uno.reports.groups import RunSummary, group_findings
from pytest_uno.reports.json_report import FORMAT_VERSION, SCHEMA_ID, render_json

RUN = RunSummary(5, "3.12.1", "shop")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    text = files("pytest_uno.reports").joinpath(f"leaks-{FORMAT_VERSION}.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    return schema


def test_the_report_keeps_to_its_schema(schema: dict[str, Any], sightings: list[Any]) -> None:
    assert schema["$id"] == SCHEMA_ID
    jsonschema.validate(json.loads(render_json(group_findings(sightings), RUN)), schema)
    jsonschema.validate(json.loads(render_json([], RUN)), schema)


def test_the_schema_refuses_a_report_of_another_format(schema: dict[str, Any]) -> None:
    data = {**json.loads(render_json([], RUN)), "format": FORMAT_VERSION + 1}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema)


def test_the_summary_counts_leaks_findings_and_tests(sightings: list[Any]) -> None:
    data = json.loads(render_json(group_findings(sightings), RUN))
    assert data["summary"] == {"distinct": 3, "total": 5, "tests": 4}
