"""What a test or a fixture of any scope leaves is its own, whatever it is: the rules' examples in whole runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness.leak_examples import CONNECTIONS, EXAMPLES, LOOPS, STATE, SYNC_EXAMPLES, SYSTEM, Family

pytestmark = pytest.mark.usefixtures("collected")

EACH_KIND = [("async def", rule) for rule in EXAMPLES] + [("def", rule) for rule in SYNC_EXAMPLES]


@pytest.mark.parametrize("clock", ["virtual", "real"])
@pytest.mark.parametrize("rule", EXAMPLES)
def test_a_test_that_leaks_fails(project: Any, rule: str, clock: str) -> None:
    result = project.run(
        f"""{EXAMPLES[rule].prelude}
    @uno(clock="{clock}")
    async def test_leaks():
        {EXAMPLES[rule].leaks[rule]}
    @uno
    async def test_innocent(): pass
    """
    )
    assert project.outcomes(result) == {"failed": 1, "passed": 1}
    result.stdout.fnmatch_lines([f"{rule} *", "*created*in test_leaks"])


@pytest.mark.parametrize("scope", ["function", "class", "module", "session"])
@pytest.mark.parametrize(("kind", "rule"), EACH_KIND)
def test_a_fixture_that_leaks_is_blamed(project: Any, kind: str, rule: str, scope: str) -> None:
    result = project.run(
        f"""{EXAMPLES[rule].prelude}
    @pytest.fixture(scope="{scope}")
    {kind} hub():
        {EXAMPLES[rule].leaks[rule]}
        yield
    @uno
    class TestHub:
        async def test_first(self, hub): pass
        async def test_last(self, hub): pass
    """
    )
    errors = 2 if scope == "function" else 1
    assert project.outcomes(result) == {"passed": 2, "errors": errors}
    result.stdout.fnmatch_lines([f"{rule} *", "*created*in hub", f"*owner*fixture 'hub' ({scope}, *"])


@pytest.mark.parametrize("family", [CONNECTIONS, LOOPS, SYSTEM, STATE], ids=lambda family: min(family.leaks))
def test_findings_are_the_same_in_each_run(project: Any, family: Family) -> None:
    tests = "".join(
        f"""
    @uno
    async def test_{rule}():
        {leak}
    """
        for rule, leak in family.leaks.items()
    )
    reports: list[str] = []
    for _ in range(2):
        project.run(family.prelude + tests, "--uno-report", "json:report.json")
        reports.append(project.pytester.path.joinpath("report.json").read_text(encoding="utf-8"))
    rules = sorted(leak["rule"] for leak in json.loads(reports[0])["leaks"])
    assert rules == [*family.leaks, *family.also]
    assert reports[0] == reports[1]
