"""The leak in pytest's own JUnit report."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import xmlschema

SUITE = """
async def poll():
    await asyncio.Event().wait()

@pytest.mark.uno_async
@pytest.mark.parametrize("name", ["plain", "]]> <script> & \\x1b[31m \\x00 \\U0001f600", "x" * 10_000])
async def test_leaks(name):
    asyncio.create_task(poll(), name=name)
    await asyncio.sleep(0)

@pytest.fixture(scope="module")
async def pump():
    task = asyncio.create_task(poll(), name="pump")
    await asyncio.sleep(0)
    yield

@pytest.mark.uno_async(loop_scope="module")
async def test_clean(pump): ...
"""


def run(project: Any, *args: str) -> ElementTree.Element:
    project.run(SUITE, "--junitxml=junit.xml", *args)
    path: Path = project.pytester.path / "junit.xml"
    schema = xmlschema.XMLSchema(Path(__file__).parent / "schemas" / "junit-10.xsd")
    schema.validate(path)
    return ElementTree.parse(path).getroot()


@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_the_report_is_valid_and_holds_the_leaks(
    project: Any, all_plugins: None, args: tuple[str, ...]
) -> None:
    root = run(project, *args)
    failures = list(root.iter("failure"))
    assert len(failures) == 3
    messages = {str(failure.get("message")) for failure in failures}
    assert "UNO101 pending-task at test_it.py:10: task 'plain' running poll()" in messages
    assert all("created     test_it.py:10 in test_leaks" in str(failure.text) for failure in failures)
    assert all("\n" not in message and len(message) < 500 for message in messages)
    (error,) = root.iter("error")
    assert "UNO101 pending-task at test_it.py:15: task 'pump'" in str(error.get("message"))
    properties = {entry.get("name"): entry.get("value") for entry in root.iter("property")}
    assert properties == {
        "uno_tests_judged": "4",
        "uno_leaks_total": "4",
        "uno_leaks_distinct": "2",
        "uno_leaks_new": "2",
    }


def test_a_project_without_uno_tests_has_no_properties(project: Any) -> None:
    project.run("def test_it(): ...", "--junitxml=junit.xml")
    root = ElementTree.parse(project.pytester.path / "junit.xml").getroot()
    assert list(root.iter("property")) == []


def test_pytest_may_be_without_its_junit_plugin(project: Any) -> None:
    result = project.run(SUITE, "-p", "no:junitxml")
    assert project.outcomes(result) == {"failed": 3, "passed": 1, "errors": 1}
