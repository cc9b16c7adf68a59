"""What the leak detectors cost, and what they find that others do not; run it as a script.

Run: python benchmarks/leaks.py [TESTS] [ROUNDS]

Three tables. The first: a trivial test in whole pytest processes that take turns, over bare pytest-asyncio. The second:
`asyncio.create_task` on a watched loop, over a loop that nobody watches, in turns in one process. The third: each test
of `leaky_suite/` leaks one thing; a tool has found it if it fails that test, and named it if it prints the line that
made it. pyleak takes part where it is installed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

from per_test_overhead import HEAD, measure

from pytest_uno.leaks.detection import LeakDetection
from pytest_uno.leaks.owners import OWNER, Owner

TRIVIAL = "async def test_{0}():\n    assert {0} == {0}\n\n\n"
SUITE = Path(__file__).parent / "leaky_suite" / "test_leaky.py"
TASKS = 2_000
TURNS = 41

TOOLS: dict[str, tuple[str, list[str]]] = {
    # name: (what stands for the marker of a test, options)
    "uno": ("@pytest.mark.uno_async", ["--uno-leak-level=UNO103=error"]),
    "-W error": ("@pytest.mark.asyncio", ["-p", "no:uno", "-W", "error"]),
    "pyleak": ("@pytest.mark.no_leaks\n@pytest.mark.asyncio", ["-p", "no:uno"]),
}


def compare_tests(tests: int, rounds: int) -> None:
    """Print what a trivial test costs with and without the detectors."""
    variants: dict[str, tuple[str, list[str]]] = {
        "pytest-asyncio": ("asyncio", ["-p", "no:uno"]),
        "uno, all detectors": ("uno_async", []),
        "uno, no detectors": ("uno_async", ["--uno-leaks=off"]),
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        modules: dict[str, Path] = {}
        for number, (name, (mark, _)) in enumerate(variants.items()):
            modules[name] = Path(folder) / f"test_variant_{number}.py"
            head = HEAD + f"pytestmark = pytest.mark.{mark}\n\n\n"
            modules[name].write_text(head + "".join(map(TRIVIAL.format, range(tests))), encoding="utf-8")
        times: dict[str, list[float]] = {name: [] for name in variants}
        for turn in range(rounds + 1):
            for name, (_, options) in variants.items():
                seconds = measure(modules[name], options, tests)
                if turn:  # the first turn writes the byte code caches
                    times[name].append(seconds)
    reference = times["pytest-asyncio"]
    for name, taken in times.items():
        by_median = statistics.median(taken) / statistics.median(reference)
        print(f"{name:22} x{by_median:.2f} by medians, x{min(taken) / min(reference):.2f} by minima")


async def do_nothing() -> None:
    """Be the cheapest task there is."""


async def seconds_of_creating() -> float:
    """Return how long it takes to make the tasks; they run outside of the measured time."""
    started = time.perf_counter()
    tasks = [asyncio.create_task(do_nothing()) for _ in range(TASKS)]
    seconds = time.perf_counter() - started
    await asyncio.wait(tasks)
    return seconds


def compare_tasks() -> None:
    """Print what the detectors add to `asyncio.create_task`."""
    detection = LeakDetection(root=Path.cwd())
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(TURNS):
        for is_watched in (True, False) if turn % 2 else (False, True):
            with asyncio.Runner() as runner:
                loop = runner.get_loop()
                if is_watched:
                    owner = Owner("test", "benchmark")
                    detection.install()
                    detection.watch_loop(loop)
                    snapshot = detection.snapshot(owner)
                    token = OWNER.set(owner)
                times[is_watched].append(runner.run(seconds_of_creating()))
                if is_watched:
                    OWNER.reset(token)
                    owner.ended = True
                    detection.compare(snapshot, loop, loop_ends=True)
                    detection.unwatch_loop(loop)
                    detection.remove()
    bare, watched = (statistics.median(taken) for taken in times)
    print(f"{'asyncio.create_task':22} x{watched / bare:.2f}, {(watched - bare) / TASKS * 1e6:.2f} us more")


def run_suite(marker: str, options: list[str]) -> dict[str, tuple[bool, bool]]:
    """Run the leaky suite with a tool.

    Args:
        marker: what stands above each test.
        options: of pytest.

    Returns:
        For each test whether it failed, and whether its failure names the line that made the leak.
    """
    source = SUITE.read_text(encoding="utf-8").replace("@pytest.mark.asyncio", marker)
    lines = marked_lines(source)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (Path(folder) / SUITE.name).write_text(source, encoding="utf-8")
        command = [
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            "--junitxml=results.xml",
        ]
        ini = ["-o", "asyncio_default_fixture_loop_scope=function", "-o", "asyncio_mode=auto"]
        subprocess.run(
            [sys.executable, *command, *options, *ini, SUITE.name],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
            timeout=300,
        )
        cases = ElementTree.parse(Path(folder) / "results.xml").iter("testcase")
        results: dict[str, tuple[bool, bool]] = {}
        for case in cases:
            name = case.get("name", "")
            texts = [part.text or "" for part in case if part.tag in ("failure", "error")]
            named = any(re.search(rf"{SUITE.name}:{lines[name][1]}\b", text) for text in texts)
            before = results.get(name, (False, False))  # an error of the teardown is a case of its own
            results[name] = (before[0] or bool(texts), before[1] or named)
    return results


def marked_lines(source: str) -> dict[str, tuple[str, int]]:
    """Return the rule and the line of each test's leak."""
    lines: dict[str, tuple[str, int]] = {}
    waiting: tuple[str, int] | None = None
    test = ""
    for number, line in enumerate(source.splitlines(), start=1):
        if found := re.match(r"async def (test_\w+)", line):
            test = found[1]
            if waiting is not None:  # its fixture, above it, leaks
                lines[test], waiting = waiting, None
        elif line.startswith("@pytest.fixture"):
            test = ""
        if found := re.search(r"# LEAK\[(\w+)\]", line):
            if test:
                lines[test] = (found[1], number)
            else:
                waiting = (found[1], number)
    return lines


def compare_detection() -> None:
    """Print what each tool finds of the leaky suite."""
    rules = {test: rule for test, (rule, _) in marked_lines(SUITE.read_text(encoding="utf-8")).items()}
    kinds = sorted(set(rules.values()))
    tools = {
        name: run_suite(marker, options)
        for name, (marker, options) in TOOLS.items()
        if name != "pyleak" or importlib.util.find_spec("pyleak") is not None
    }
    print(f"{'':10}" + "".join(f"{name:>22}" for name in tools))
    tests_of: dict[str, list[str]] = defaultdict(list)
    for test, rule in rules.items():
        tests_of[rule].append(test)
    for kind in (*kinds, "all"):
        tests = list(rules) if kind == "all" else tests_of[kind]
        row = ""
        for results in tools.values():
            found = sum(results.get(test, (False, False))[0] for test in tests)
            named = sum(results.get(test, (False, False))[1] for test in tests)
            row += f"{f'{found} of {len(tests)}, line {named}':>22}"
        print(f"{kind:10}{row}")


def main(tests: int = 2000, rounds: int = 5) -> None:
    """Print the three tables."""
    print(f"a trivial test, {tests} of them, {rounds} rounds")
    compare_tests(tests, rounds)
    print("\na task, ratio of medians")
    compare_tasks()
    print("\nthe leaky suite: found, and named with its line")
    compare_detection()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
