"""Run pytest-asyncio's own suite with pytest-uno loaded and without it: every test must end the same way.

Run: python -m tests.peer.run_pytest_asyncio_suite [WORK_DIRECTORY]     (or `tox run -e peer`)

The suite is that of the installed version, from its source distribution. pip and the test requirements of
pytest-asyncio must be installed, and no other plugin, since the suite does not expect any. Most of its tests
run pytest themselves, in the same process or in another, and pytest keeps `-p no:uno` from those inner runs.
So the run without pytest-uno hides the distribution from every interpreter that it starts.
"""

from __future__ import annotations

import concurrent.futures
import importlib.metadata
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.peer.source_suites import Outcomes, download, read_outcomes, run, unpack

SUITE_TIMEOUT = 240
FEWEST_TESTS = 100
"""Fewer than these cannot be the suite."""

HIDE_PYTEST_UNO = """
import importlib.metadata

_distributions = importlib.metadata.distributions

def distributions(**kwargs):
    return (found for found in _distributions(**kwargs) if found.metadata["Name"] != "pytest-uno")

importlib.metadata.distributions = distributions
"""


def run_suite(archive: Path, work: Path, *, with_uno: bool) -> Outcomes:
    """Run the suite in a copy of its own and return the outcome of each test."""
    name = "with pytest-uno" if with_uno else "without pytest-uno"
    place = work / name.replace(" ", "-")
    sources = unpack(archive, place)
    # The installed pytest-asyncio is the one to test, not the directory beside the tests.
    (sources / "pytest_asyncio").rename(sources / "not_imported")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV"))}
    if not with_uno:
        hiding = place / "hiding"
        hiding.mkdir()
        hiding.joinpath("sitecustomize.py").write_text(HIDE_PYTEST_UNO, encoding="utf-8")
        environment["PYTHONPATH"] = str(hiding)
    results = place / "junit.xml"
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist"]
    where = [f"--basetemp={place / 'tmp'}", f"--junitxml={results}", "tests"]
    done = run([*pytest, *where], sources, SUITE_TIMEOUT, f"the suite {name}", environment)
    header = re.search(r"^plugins: .*$", done.stdout, re.MULTILINE)
    if header is None or ("uno-" in header[0]) is not with_uno or not results.exists():
        sys.exit(f"{done.stdout[-3000:]}\nthe suite {name} did not run as meant")
    print(f"{name:20} {done.stdout.strip().splitlines()[-1].strip('= ')}")
    return read_outcomes(results)


def main(work: Path) -> int:
    """Run both, compare, and print the verdict."""
    version = importlib.metadata.version("pytest-asyncio")
    pytest_version, python_version = importlib.metadata.version("pytest"), sys.version.split()[0]
    print(f"pytest-asyncio {version}, pytest {pytest_version}, Python {python_version}")
    archive = download("pytest-asyncio", version, work)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [pool.submit(run_suite, archive, work, with_uno=with_uno) for with_uno in (False, True)]
        without_uno, with_uno = (future.result() for future in runs)
    if len(without_uno) < FEWEST_TESTS:
        sys.exit(f"only {len(without_uno)} tests were found: that is not the suite")
    for name, outcomes in (("without", without_uno), ("with", with_uno)):
        print(name, dict(Counter(end for ends in outcomes.values() for end in ends)))
    names = sorted(without_uno.keys() | with_uno.keys())
    different = [name for name in names if without_uno.get(name) != with_uno.get(name)]
    for name in different:
        print(f"DIFFERENT {name}: {without_uno.get(name)} without pytest-uno, {with_uno.get(name)} with it")
    print(f"{len(names) - len(different)} passed, {len(different)} failed")
    return 1 if different else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    # A path with links in it, as on macOS, would not be the one that pytest prints.
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as temporary:
        sys.exit(main(Path(temporary).resolve()))
