"""What the leak report costs: each format on its own, and reporting as a share of a run without leaks.

Run: python benchmarks/reports.py [FINDINGS] [GROUPS] [TESTS]

The first table: grouping and rendering the findings of a big, leaky suite, from what travels on its tests' reports;
seconds of CPU time are the best of three turns, memory is the peak of what Python allocates in a turn of its own.

The second: clean tests in a whole pytest process each; reporting is the time within the hooks of the modules that
gather, judge by the baseline and write, with what measuring it costs, as a share of the CPU time of the process.
Every report that is a file is written. A hook that is called for each test is measured by the wall, for a clock of CPU
time costs more than the hook, and each call counts as the median: in the midst of the slow ones another process has
run.
"""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

from per_test_overhead import ASYNC, HEAD

from pytest_uno.leaks.model import Finding, Frame, OwnerInfo
from pytest_uno.leaks.rules import RULES
from pytest_uno.reports.formats import FORMATS, render_report
from pytest_uno.reports.groups import Found, RunSummary, group_findings

TURNS = 3
MOST_SECONDS = 2.0
MOST_MEGABYTES = 200
MOST_SHARE = 0.01

SUITES = {
    # name: (head of the module, one test)
    "uno_async": (HEAD + "pytestmark = pytest.mark.uno_async\n\n\n", ASYNC),
    "sync": ("", "def test_{0}():\n    assert {0} == {0}\n\n\n"),
}

COUNTING = """
import json
import pathlib
import time

MODULES = ("collector", "baseline", "policy_report", "run_scope", "allowance_audit", "exploration_summary")
durations = {}
wrapped = set()


def counted(function):
    calls = durations.setdefault(function.__qualname__, [])

    def call(*arguments):
        clock = time.thread_time if len(calls) < 100 else time.perf_counter
        began = clock()
        try:
            return function(*arguments)
        finally:
            calls.append(clock() - began)

    return call


def wrap(config):
    for hook in vars(config.hook).values():
        for implementation in getattr(hook, "get_hookimpls", list)():
            module = type(implementation.plugin).__module__
            if id(implementation) not in wrapped and module.startswith("pytest_uno.harness."):
                if module.rpartition(".")[2] in MODULES:
                    assert not implementation.hookwrapper and not implementation.wrapper, implementation
                    implementation.function = counted(implementation.function)
                    wrapped.add(id(implementation))


def pytest_sessionstart(session):
    wrap(session.config)


def pytest_collection_finish(session):
    wrap(session.config)  # what is registered with the first test


def pytest_unconfigure(config):
    pathlib.Path("spent.json").write_text(json.dumps([durations, time.process_time()]))
"""


def leaky_run(findings: int, groups: int) -> list[tuple[str, dict[str, Any]]]:
    """Return what the tests of a leaky suite report: the node ID, and the leak as it travels.

    Args:
        findings: how many leaks are found.
        groups: how many of them are distinct.
    """
    rules = list(RULES)
    judgements = [
        ("new", "error"),
        ("new", "error"),
        ("allowed", "warn"),
        ("baseline", "error"),
        ("allowed", "error"),
    ]
    run: list[tuple[str, dict[str, Any]]] = []
    for number in range(findings):
        kind = number % groups
        function = f"Service{kind // 3}.start"
        frames = tuple(
            Frame(
                f"shop/part_{kind % 17}/service_{kind // 3}_{depth}.py",
                11 + depth,
                function,
                "task = start()",
                True,
            )
            for depth in range(6)
        )
        finding = Finding(
            rules[kind % len(rules)],
            f"task 'worker-{kind}' running Service{kind // 3}.work_{kind}()",
            f"Service{kind // 3}.work_{kind}",
            frames,
            frames[:2],
            None,
            OwnerInfo("fixture", "service", "session", "tests/conftest.py", 12),
            "Traceback (most recent call last):\n" + "  File 'shop/hub.py', line 3, in boom\n" * 10,
        )
        status, level = judgements[kind % len(judgements)]
        leak = {"status": status, "level": level, "reason": "", "finding": finding.to_json()}
        run.append((f"tests/part_{number % 40}/test_shop.py::TestShop::test_case[{number}-EUR]", leak))
    return run


def report(name: str, run: list[tuple[str, dict[str, Any]]]) -> str:
    """Group and render, as the end of a run does."""
    found = (
        Found(Finding.from_json(leak["finding"]), test, None, leak["status"], leak["level"], leak["reason"])
        for test, leak in run
    )
    return render_report(name, group_findings(found), RunSummary(len(run), "3.12.1", "shop"))


def compare_formats(findings: int, groups: int) -> None:
    """Print what each format takes."""
    run = leaky_run(findings, groups)
    for name in FORMATS:
        times: list[float] = []
        for _ in range(TURNS):
            gc.collect()
            began = time.process_time()
            text = report(name, run)
            times.append(time.process_time() - began)
        tracemalloc.start()
        report(name, run)
        megabytes = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        is_met = min(times) < MOST_SECONDS and megabytes < MOST_MEGABYTES
        print(
            f"{name:10} {min(times):6.2f} s  {megabytes:6.1f} MB  {len(text.encode()) / 1e6:6.2f} MB of text  "
            f"{'goal met' if is_met else 'GOAL MISSED'}"
        )


def measure_share(head: str, test: str, tests: int) -> tuple[float, float]:
    """Run clean tests, and return the seconds of reporting and of the run.

    Args:
        head: of the module.
        test: one test; `{0}` stands for its number.
        tests: how many.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text(
            "[pytest]\nasyncio_default_fixture_loop_scope = function\n", encoding="utf-8"
        )
        (folder / "conftest.py").write_text(COUNTING, encoding="utf-8")
        (folder / "test_clean.py").write_text(
            head + "".join(map(test.format, range(tests))), encoding="utf-8"
        )
        files = [f"--uno-report={name}:report-{name}" for name, form in FORMATS.items() if form.default_path]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0 or f"{tests} passed" not in done.stdout:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        missing = [file for file in files if not (folder / file.partition(":")[2]).exists()]
        if missing:
            raise SystemExit(f"not written: {missing}")
        durations, total = json.loads((folder / "spent.json").read_text(encoding="utf-8"))
    if not any(len(calls) >= tests for calls in durations.values()):
        raise SystemExit("no hook of the reports was found: COUNTING names modules that are no more")
    return sum(map(undisturbed_sum, durations.values())), total


def undisturbed_sum(calls: list[float]) -> float:
    """Add up what the calls of a hook took; where there are many, each counts as the median."""
    return statistics.median(calls) * len(calls) if len(calls) >= 1000 else sum(calls)


def compare_shares(tests: int) -> None:
    """Print the share of reporting in runs without leaks."""
    for name, (head, test) in SUITES.items():
        spent, total = measure_share(head, test, tests)
        share = spent / total
        print(
            f"{name:10} {total:6.2f} s of CPU, {spent * 1e3:7.1f} ms of reporting: {share:.2%}  "
            f"{'goal met' if share < MOST_SHARE else 'GOAL MISSED'}"
        )


def main(findings: int = 5_000, groups: int = 500, tests: int = 20_000) -> None:
    """Print the two tables."""
    print(f"{findings:,} findings in {groups:,} groups: under {MOST_SECONDS:g} s and {MOST_MEGABYTES} MB")
    compare_formats(findings, groups)
    print(f"\n{tests:,} clean tests, every report written: under {MOST_SHARE:.0%} of the CPU time")
    compare_shares(tests)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
