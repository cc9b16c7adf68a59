"""Which leak reports a run makes: what the user asks for, and what the CI service takes by itself."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_uno.core.errors import compose_message
from pytest_uno.harness.report_files import check_writable
from pytest_uno.reports.formats import FORMATS

__all__ = [
    "ReportTarget",
    "check_targets",
    "describe_unwritable",
    "find_ci_targets",
    "find_folder",
    "read_targets",
]


class ReportTarget(NamedTuple):
    """One report that the run makes.

    Attributes:
        format: the format.
        path: the file; None for what is printed.
        appends: whether the report is added to what the file holds, and only if there is something to report.
    """

    format: str
    path: Path | None
    appends: bool = False


def read_targets(config: pytest.Config) -> tuple[ReportTarget, ...]:
    """Read the option `uno_report`; what the command line says takes the place of the ini file's.

    Args:
        config: the configuration of the run.

    Raises:
        pytest.UsageError: there is no such format, or two reports go to one file.
    """
    flags: list[str] | None = config.getoption("uno_report", None)
    specs: list[str] = config.getini("uno_report") if flags is None else flags
    where = "ini option uno_report" if flags is None else "--uno-report"
    folder = config.rootpath if flags is None else config.invocation_params.dir
    targets: list[ReportTarget] = []
    for spec in specs:
        name, colon, given = spec.partition(":")
        if name not in FORMATS:
            _refuse(f"{where}: unknown report format {name!r} in {spec!r}", _suggest_format(name))
        if colon and not given.strip():
            _refuse(f"{where}: {spec!r} names no file", f"write {name} alone, or {name}:PATH")
        path = given or FORMATS[name].default_path
        target = ReportTarget(name, None if path is None else folder / path)
        for other in targets:
            if other.path is not None and other.path == target.path and other != target:
                _refuse(
                    f"{where}: {other.format} and {target.format} are both written to {target.path}",
                    "give each report a file of its own",
                )
        if target not in targets:
            targets.append(target)
    return tuple(targets)


def find_ci_targets(environment: Mapping[str, str] = os.environ) -> tuple[ReportTarget, ...]:
    """Return the reports that the CI service takes without being asked for: GitHub's annotations and job summary.

    A pytest that a test starts is not asked: its output belongs to that test.

    Args:
        environment: the environment of the process.
    """
    if environment.get("GITHUB_ACTIONS") != "true" or "PYTEST_CURRENT_TEST" in environment:
        return ()
    targets = [ReportTarget("github", None)]
    summary = environment.get("GITHUB_STEP_SUMMARY")
    if summary:
        targets.append(ReportTarget("markdown", Path(summary), appends=True))
    return tuple(targets)


def find_folder(root: Path) -> str:
    """Return where pytest's root lies in its repository, as a posix path; empty if it is the top, or in none.

    Args:
        root: pytest's root.
    """
    for folder in (root, *root.parents):
        if (folder / ".git").exists():
            relative = root.relative_to(folder).as_posix()
            return "" if relative == "." else relative
    return ""


def check_targets(targets: tuple[ReportTarget, ...]) -> None:
    """See before the first test that every report can be written.

    Args:
        targets: the reports.

    Raises:
        pytest.UsageError: one cannot.
    """
    for target in targets:
        if target.path is not None:
            try:
                check_writable(target.path)
            except OSError as error:
                raise pytest.UsageError(describe_unwritable(target, error)) from error


def describe_unwritable(target: ReportTarget, error: OSError) -> str:
    """Say that a report cannot be written.

    Args:
        target: the report.
        error: why.
    """
    fix = f"name a file that can be written: --uno-report {target.format}:PATH"
    return compose_message(
        f"cannot write the leak report {target.path}: {error.strerror or error}",
        fix=fix,
        anchor="report-not-written",
    )


def _suggest_format(word: str) -> str:
    close = difflib.get_close_matches(word, FORMATS, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}use FORMAT[:PATH], where FORMAT is one of {', '.join(FORMATS)}"


def _refuse(what: str, fix: str) -> None:
    raise pytest.UsageError(compose_message(what, fix=fix, anchor="bad-option"))
