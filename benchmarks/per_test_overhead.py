"""What a trivial async test costs, in whole pytest processes that take turns.

Run: python benchmarks/per_test_overhead.py [TESTS] [ROUNDS]

CPU seconds (user and system) of the child processes where the platform tells them, else wall time. A process with one
test shows the start-up; what the others add is what a test costs. Ratios are to bare pytest-asyncio, of the whole
process and of a test without the start-up.
"""

from __future__ import annotations

import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HEAD = "import pytest\n\n"
ASYNC = "async def test_{0}():\n    assert {0} == {0}\n\n\n"
VARIANTS: dict[str, tuple[str, str, list[str]]] = {
    # name: (head of the module, one test, the plugins)
    "sync, no plugin": (
        "",
        "def test_{0}():\n    assert {0} == {0}\n\n\n",
        [],
    ),
    "pytest-asyncio": (HEAD + "pytestmark = pytest.mark.asyncio\n\n\n", ASYNC, ["asyncio"]),
    "pytest-asyncio, uno idle": (HEAD + "pytestmark = pytest.mark.asyncio\n\n\n", ASYNC, ["asyncio", "uno"]),
    "uno_async": (HEAD + "pytestmark = pytest.mark.uno_async\n\n\n", ASYNC, ["asyncio", "uno"]),
    "uno_async, clock=real": (
        HEAD + "pytestmark = pytest.mark.uno_async(clock='real')\n\n\n",
        ASYNC,
        ["asyncio", "uno"],
    ),
    "anyio": (
        HEAD
        + "pytestmark = pytest.mark.anyio\n\n\n"
        + "@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n\n\n",
        ASYNC,
        ["anyio"],
    ),
}


def child_seconds() -> float:
    """Return the CPU seconds of the finished children; the wall clock where there is no `resource`."""
    try:
        resource = importlib.import_module("resource")
    except ImportError:
        return time.perf_counter()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(usage.ru_utime + usage.ru_stime)


def measure(module: Path, plugins: list[str], tests: int) -> float:
    """Run one module in a pytest of its own with these plugins alone, and return the seconds it took."""
    # The ini options of plugins that are not loaded would be unknown: each run gets its own by `-o`.
    asyncio_ini = ["-o", "asyncio_default_fixture_loop_scope=function"] if "asyncio" in plugins else []
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *(option for plugin in plugins for option in ("-p", plugin)),
        *asyncio_ini,
        module.name,
    ]
    begin = child_seconds()
    # Others that happen to be installed would be measured too, or stop the run.
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        command, cwd=module.parent, env=environment, capture_output=True, text=True, check=False
    )
    seconds = child_seconds() - begin
    if done.returncode != 0 or f"{tests} passed" not in done.stdout:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds


def main(tests: int = 3000, rounds: int = 5) -> None:
    """Generate modules for each variant, run them in turn, and print the medians, and ratios of medians and minima."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pytest.ini").write_text("[pytest]\n")
        modules: dict[tuple[str, int], Path] = {}
        for number, (name, (head, test, _)) in enumerate(VARIANTS.items()):
            for count in (1, tests):
                module = modules[name, count] = Path(folder) / f"test_variant_{number}_{count}.py"
                module.write_text(head + "".join(test.format(index) for index in range(count)))
        times: dict[tuple[str, int], list[float]] = {key: [] for key in modules}
        for turn in range(rounds + 1):
            for (name, count), module in modules.items():
                seconds = measure(module, VARIANTS[name][2], count)
                if turn:  # the first turn writes the byte code caches
                    times[name, count].append(seconds)
    whole = {
        summary: {key: summary(taken) for key, taken in times.items()} for summary in (statistics.median, min)
    }
    print(f"{tests} tests, {rounds} rounds; ratios by medians and by minima")
    for name in VARIANTS:
        columns = [f"{name:26}"]
        for what in ("start-up", "a test", "the whole"):
            ratios: list[str] = []
            for seconds_of in whole.values():
                value, reference = (
                    seconds_of[which, 1]
                    if what == "start-up"
                    else (seconds_of[which, tests] - seconds_of[which, 1]) / (tests - 1)
                    if what == "a test"
                    else seconds_of[which, tests]
                    for which in (name, "pytest-asyncio")
                )
                ratios.append(f"x{value / reference:.2f}")
                if seconds_of is whole[statistics.median]:
                    columns.append(
                        f"{what} {value * 1e3:8.3f} ms" if what != "the whole" else f"{what} {value:6.2f} s"
                    )
            columns.append(" ".join(ratios))
        print("  ".join(columns))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
