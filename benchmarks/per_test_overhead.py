"""What a trivial async test costs, in whole pytest processes that take turns.

Run: python benchmarks/per_test_overhead.py [TESTS] [ROUNDS]

CPU seconds (user and system) of the child processes where the platform tells them, else wall time.
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
    """Generate a module a variant, run them in turn, and print the medians, and the ratios of medians and minima."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pytest.ini").write_text("[pytest]\n")
        modules: dict[str, Path] = {}
        for number, (name, (head, test, _)) in enumerate(VARIANTS.items()):
            modules[name] = Path(folder) / f"test_variant_{number}.py"
            modules[name].write_text(head + "".join(test.format(index) for index in range(tests)))
        times: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for turn in range(rounds + 1):
            for name, (_, _, plugins) in VARIANTS.items():
                seconds = measure(modules[name], plugins, tests)
                if turn:  # the first turn writes the byte code caches
                    times[name].append(seconds)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    reference = medians["pytest-asyncio"]
    least = min(times["pytest-asyncio"])
    for name, median in medians.items():
        print(
            f"{name:26} {median:7.2f} s  {median / tests * 1e3:6.3f} ms a test  "
            f"x{median / reference:.2f} by medians, x{min(times[name]) / least:.2f} by minima"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
