"""Test suites of other projects, from their source distributions: download, unpack, run, read the outcomes."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

__all__ = ["Outcomes", "download", "read_outcomes", "run", "unpack"]

DOWNLOAD_TIMEOUT = 120

Outcomes = dict[str, tuple[str, ...]]
"""How each test ended, by its class and name; several ways if it failed more than once, as in its teardown too."""


def download(project: str, version: str, to: Path) -> Path:
    """Download the source distribution and return its path."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    what = ["--no-deps", f"--no-binary={project}", f"--dest={to}", f"{project}=={version}"]
    run([*pip, *what], to, DOWNLOAD_TIMEOUT, f"downloading the source distribution of {project}")
    archives = list(to.glob(f"{project.replace('-', '_')}-*.tar.gz"))
    if len(archives) != 1:
        sys.exit(f"pip left no single archive of {project} {version}: {[path.name for path in archives]}")
    return archives[0]


def unpack(archive: Path, to: Path) -> Path:
    """Unpack the archive and return the directory of its files."""
    with tarfile.open(archive) as tar:
        tar.extractall(to, filter="data")
    (directory,) = to.iterdir()
    return directory


def run(
    command: list[str], directory: Path, timeout: float, what: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command; end with a clear message where it takes too long or, other than a suite, fails."""
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        output = exc.output.decode("utf-8", "replace") if isinstance(exc.output, bytes) else exc.output or ""
        sys.exit(f"{output[-3000:]}\n{what} took longer than {timeout:.0f} seconds")
    if environment is None and done.returncode != 0:
        sys.exit(f"{done.stdout[-3000:]}\n{what} failed with exit code {done.returncode}")
    return done


def read_outcomes(results: Path) -> Outcomes:
    """Read how each test ended."""
    outcomes: dict[str, list[str]] = {}
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        ends = outcomes.setdefault(f"{case.get('classname')}::{case.get('name')}", [])
        ends += [child.tag for child in case if child.tag in ("failure", "error", "skipped")] or ["passed"]
    return {name: tuple(sorted(ends)) for name, ends in outcomes.items()}
