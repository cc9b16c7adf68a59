"""Import time of the plugin and the core in fresh interpreters, next to pytest-asyncio's plugin.

Run: python benchmarks/import_time.py [ROUNDS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys

STATEMENTS = {
    # name: (what was imported before, what is measured)
    "nothing": ("pass", "pass"),
    "asyncio": ("pass", "import asyncio"),
    "pytest": ("pass", "import pytest"),
    "pytest_asyncio.plugin": ("pass", "import pytest_asyncio.plugin"),
    "pytest_uno.plugin": ("pass", "import pytest_uno.plugin"),
    "pytest_uno.core after asyncio": ("import asyncio", "import pytest_uno.core"),
}


def measure(before: str, statement: str) -> float:
    """Return the milliseconds that a statement takes in a fresh interpreter, without its start and another one."""
    code = (
        f"import time; {before}; begin = time.perf_counter(); {statement}; print(time.perf_counter() - begin)"
    )
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout) * 1e3


def main(rounds: int = 15) -> None:
    """Measure the statements in turn, and print the medians and the minima."""
    for statements in STATEMENTS.values():
        measure(*statements)  # writes the byte code caches
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(rounds):
        for name, statements in STATEMENTS.items():
            times[name].append(measure(*statements))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    reference = medians["pytest_asyncio.plugin"]
    for name, median in medians.items():
        print(
            f"{name:30} {median:8.1f} ms (at least {min(times[name]):.1f})   "
            f"x{median / reference:.3f} of pytest_asyncio.plugin"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
