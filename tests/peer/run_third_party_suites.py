"""Run five async suites of other projects in auto mode, and look at what pytest-uno finds in them.

Run: python -m tests.peer.run_third_party_suites [WORK_DIRECTORY] [PROJECT ...]     (or `tox run -e third-party`)

Each suite runs without pytest-uno and then, on the real and on the virtual clock, with it. The run succeeds if every
test ends the same way, but those with findings, and if the findings are exactly those of `third_party/suites.py`.
Each of those is true, and `reduced/` proves it. The requirements of the suites must be installed, as
`third_party/requirements.txt` has them.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
import tempfile
from pathlib import Path

from tests.peer.source_suites import Outcomes, download, read_outcomes, run, unpack
from tests.peer.third_party.comparison import compare_findings, compare_outcomes, in_junit, read_findings
from tests.peer.third_party.suites import SUITES, Suite

SUITE_TIMEOUT = 600

ADOPTING = Path(__file__).parent / "third_party" / "adopting"
"""The plugins that make plain async tests of other ones."""

INI = """[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
pythonpath = .
filterwarnings = error
markers =
    network: connects to hosts elsewhere
"""
"""Instead of the suite's own, whose options are for the plugins that it is written for."""

UNO = ("-o", "uno_async_mode=auto", "--uno-block-ms=300")
"""To start a process blocks the loop, on a busy machine for longer than the default."""

CLOCKS = ("real", "virtual")


def run_suite(suite: Suite, archive: Path, place: Path, clock: str) -> tuple[Outcomes, Path]:
    """Run a suite in a copy of its own; without pytest-uno if there is no clock."""
    name = f"{suite.project} {f'on the {clock} clock' if clock else 'without pytest-uno'}"
    sources = unpack(archive, place / "sources")
    if suite.hidden:  # the installed package is the one to test, as its users have it
        (sources / suite.hidden).rename(sources / "not_imported")
    results, report, ini = place / "junit.xml", place / "leaks.json", place / "pytest.ini"
    ini.write_text(INI, encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV"))}
    environment["PYTHONPATH"] = str(ADOPTING)
    uno = [*UNO, f"--uno-clock={clock}", f"--uno-report=json:{report}"] if clock else ["-p", "no:uno"]
    left_out = [option for each in suite.deselected for option in each.options]
    if clock == "virtual":
        left_out += [f"--deselect={each.test}" for each in suite.real_time]
    pytest = [sys.executable, "-m", "pytest", "-q", "-c", str(ini), f"--rootdir={sources}"]
    plugins = ["-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist", *suite.options]
    done = run(
        [
            *pytest,
            *plugins,
            *uno,
            f"--basetemp={place / 'tmp'}",
            f"--junitxml={results}",
            *left_out,
            *suite.tests,
        ],
        sources,
        SUITE_TIMEOUT,
        f"the suite of {name}",
        environment,
    )
    last = re.findall(r"^.* in [\d.]+s.*$", done.stdout, re.MULTILINE)
    if not last or not results.exists() or (clock and not report.exists()):
        sys.exit(f"{done.stdout[-3000:]}\nthe suite of {name} did not run as meant")
    print(f"{name:32} {last[-1].strip('= ')}", flush=True)
    place.joinpath("output.txt").write_text(done.stdout, encoding="utf-8")
    return read_outcomes(results), report


def check_suite(suite: Suite, work: Path) -> list[str]:
    """Run a suite in every way and return what is not as it should be."""
    installed = importlib.metadata.version(suite.project)
    if installed != suite.version:
        sys.exit(f"{suite.project} {installed} is installed, but the findings are those of {suite.version}")
    archives = work / "archives"
    archives.mkdir(exist_ok=True)
    archive = download(suite.project, suite.version, archives)
    without, _ = run_suite(suite, archive, work / suite.project / "without", "")
    complaints: list[str] = []
    if len(without) < suite.fewest:
        complaints.append(f"only {len(without)} tests were found: that is not the suite")
    for clock in CLOCKS:
        outcomes, report = run_suite(suite, archive, work / suite.project / clock, clock)
        found = read_findings(report)
        left_out = {in_junit(each.test) for each in suite.real_time} if clock == "virtual" else set()
        same = {name: ends for name, ends in without.items() if name.partition("[")[0] not in left_out}
        expected = tuple(each for each in suite.findings if each.clock in ("", clock))
        complaints += [
            f"{clock} clock: {complaint}"
            for complaint in compare_outcomes(same, outcomes, found) + compare_findings(found, expected)
        ]
    for complaint in complaints:
        print(f"  {complaint}", flush=True)
    return complaints


def main(work: Path, projects: list[str]) -> int:
    """Check the suites and print the verdict."""
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("pytest", "pytest-asyncio")
    )
    print(f"{versions}, Python {sys.version.split()[0]}")
    suites = [suite for suite in SUITES if not projects or suite.project in projects]
    failed = [suite.project for suite in suites if check_suite(suite, work)]
    print(f"{len(suites) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not suites else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as temporary:
        sys.exit(main(Path(temporary).resolve(), sys.argv[2:]))
