"""Run the shop's suite and check that pytest-uno finds the leaks that were planted, and no other.

The suite has one file of tests that leak. What is expected of it stands in the sources alone: a comment
`LEAK[rule]` on each line that creates something which leaks. The exit status is 0 when the report names
exactly those lines, every leaking test failed once, and all other tests passed; otherwise it is 1.

Usage: `python run_demo.py [--out DIRECTORY] [pytest arguments]`, from any directory.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

SHOP = Path(__file__).resolve().parent
PROJECT_ROOT = SHOP.parents[2]
MARKER = re.compile(r"#\s*LEAK\[(UNO\d{3})\]")
TESTS_FAILED = 1
PYTEST_TROUBLE = {
    2: "the run was interrupted, or a file could not be collected",
    3: "pytest or a plugin crashed",
    4: "pytest did not accept its command line, its configuration or a conftest.py",
    5: "pytest found no tests",
}


class DemoError(Exception):
    """The demo could not be judged at all."""


@dataclass(frozen=True, order=True)
class Leak:
    """A leak: which rule, created where."""

    file: str
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.rule} {self.file}:{self.line}"


def read_expected_leaks() -> Counter[Leak]:
    """Read the markers in the application and its suite."""
    return Counter(
        Leak(path.relative_to(SHOP).as_posix(), number, rule)
        for directory in ("shop", "tests")
        for path in sorted((SHOP / directory).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for rule in MARKER.findall(line)
    )


def run_suite(report: Path, junit: Path, arguments: list[str]) -> None:
    """Run the suite in a process of its own, output and all.

    Raises:
        DemoError: pytest did not get as far as running the tests.
    """
    report.unlink(missing_ok=True)  # an old report must not be taken for this run's
    reports = [f"--uno-report=json:{report}", f"--junit-xml={junit}"]
    command = [sys.executable, "-m", "pytest", *reports, *arguments]
    status = subprocess.run(command, cwd=SHOP, check=False).returncode
    if status not in (0, TESTS_FAILED):
        trouble = PYTEST_TROUBLE.get(status, "it did not end by itself")
        raise DemoError(f"pytest exited with status {status}: {trouble}")


def read_report(path: Path) -> list[dict[str, Any]]:
    """Read the leaks that are new, which are those that fail a run.

    Raises:
        DemoError: there is no report, or it is none of format 1.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DemoError(f"the run wrote no {path}: is the pytest-uno plugin loaded?") from None
    except ValueError as error:
        raise DemoError(f"{path} is not JSON: {error}") from None
    if report.get("format") != 1:
        raise DemoError(f"{path} has format {report.get('format')!r}, this script reads format 1")
    return [leak for leak in report["leaks"] if leak["status"] == "new"]


def locate(leak: dict[str, Any]) -> Leak:
    """Reduce a leak of the report to its rule and the line that created it."""
    innermost = leak["created"][0]
    return Leak(innermost["file"], innermost["line"], leak["rule"])


def read_outcomes(junit: Path) -> dict[str, list[str]]:
    """Read the outcomes of each test; a test that failed and then went wrong in teardown has two.

    Raises:
        DemoError: the run wrote none.
    """
    if not junit.exists():
        raise DemoError("the run ended before pytest wrote the outcomes of its tests")
    outcomes: dict[str, list[str]] = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        test = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        verdicts = [child.tag for child in case if child.tag in {"failure", "error", "skipped"}]
        outcomes.setdefault(test, []).extend(verdicts or ["passed"])
    return outcomes


def compare_leaks(expected: Counter[Leak], found: Counter[Leak]) -> Iterator[str]:
    """Say what differs between the planted leaks and the reported ones."""
    for leak in sorted((expected - found).elements()):
        yield f"not found:  {leak}"
    for leak in sorted((found - expected).elements()):
        yield f"unexpected: {leak}"


def compare_outcomes(leaking: set[str], outcomes: dict[str, list[str]]) -> Iterator[str]:
    """Say which test did not end as it should: one failure if it leaks, a pass if it does not."""
    for test in sorted(leaking - set(outcomes)):
        yield f"reported to leak, but it did not run: {test}"
    for test, verdicts in sorted(outcomes.items()):
        wanted = ["failure"] if test in leaking else ["passed"]
        if verdicts != wanted:
            yield f"{test}: {' and '.join(verdicts)} instead of {wanted[0]}"


def run_demo(report: Path, arguments: list[str]) -> list[str]:
    """Run the suite, compare, and return what is wrong.

    Raises:
        DemoError: the run could not be judged.
    """
    with tempfile.TemporaryDirectory() as directory:
        junit = Path(directory) / "junit.xml"
        run_suite(report, junit, arguments)
        outcomes = read_outcomes(junit)
    leaks = read_report(report)
    expected, found = read_expected_leaks(), Counter(map(locate, leaks))
    leaking = {seen["test"] for leak in leaks for seen in leak["seen"]}
    passed = sum(verdicts == ["passed"] for verdicts in outcomes.values())
    print(f"\ndemo: {expected.total()} leaks planted, {found.total()} found, written to {report}")
    print(f"demo: {len(leaking)} tests leaked, {passed} passed")
    return [*compare_leaks(expected, found), *compare_outcomes(leaking, outcomes)]


def main() -> int:
    """Run the demo and return the exit status."""
    parser = argparse.ArgumentParser(description="Run the shop's suite and check its leak report.")
    parser.add_argument("--out", type=Path, default=PROJECT_ROOT, help="the directory for leaks.json")
    options, arguments = parser.parse_known_args()
    try:
        differences = run_demo(options.out.resolve() / "leaks.json", arguments)
    except DemoError as error:
        differences = [str(error)]
    if differences:
        print("demo: FAILED", *differences, sep="\n  ")
        return 1
    print("demo: OK, exactly the planted leaks were found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
