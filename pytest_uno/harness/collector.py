"""The controller's side: gathers the leaks that travelled on reports, prints the leak report, writes the files.

With pytest-xdist the workers judge and the controller gathers; without it, both are one process.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import pytest

from pytest_uno.core.errors import compose_message
from pytest_uno.harness.settings import SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_uno.reports.groups import Group, RunSummary

__all__ = ["LeakCollector"]


class LeakCollector:
    """The plugin object that gathers and reports; nothing of the reports is imported before there is a need."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._settings = config.stash[SETTINGS]
        self._sightings: list[tuple[str, str | None, dict[str, Any]]] = []
        self._tests: set[str] = set()
        self._written: list[str] = []
        self._problems: list[str] = []
        for target in self._settings.reports:
            _prepare(target.path)
        self._groups_made: list[Group] | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather the leaks of a report; an attempt that is run again is not the last word."""
        leaks = getattr(report, "uno_leaks", None)
        if leaks is not None and str(report.outcome) != "rerun":
            self._tests.add(report.nodeid)
            worker = getattr(report, "worker_id", None)
            self._sightings.extend((report.nodeid, worker, leak) for leak in leaks)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports that were asked for, also when there is nothing to report."""
        for target in self._settings.reports:
            from pytest_uno.reports.json_report import render_json

            text = render_json(self._groups(), self._summary())
            try:
                target.path.write_text(text, encoding="utf-8", newline="\n")
            except OSError as error:  # the results of the tests must still be shown
                self._problems.append(_describe_unwritable(target.path, error))
                session.exitstatus = session.exitstatus or pytest.ExitCode.USAGE_ERROR
                continue
            self._written.append(f"{target.format} {target.path}")

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the leak report; a clean run prints nothing, or one line with -v."""
        if self._sightings:
            from pytest_uno.reports.terminal import render_summary

            terminalreporter.section("leak report")
            for line in render_summary(self._groups(), len(self._tests)):
                terminalreporter.write_line(line)
        elif self._tests and self._config.get_verbosity() > 0:
            terminalreporter.write_line(f"leaks: none in {len(self._tests)} tests")
        for problem in self._problems:
            terminalreporter.write_line(problem, red=True)
        if self._written and (self._sightings or self._config.get_verbosity() > 0):
            terminalreporter.write_line("wrote " + ", ".join(self._written))

    def _summary(self) -> RunSummary:
        from pytest_uno.reports.groups import RunSummary

        return RunSummary(len(self._tests), platform.python_version(), self._config.rootpath.name)

    def _groups(self) -> list[Group]:
        if self._groups_made is None:
            from pytest_uno.leaks.model import Finding
            from pytest_uno.reports.groups import Found, group_findings

            self._groups_made = group_findings(
                Found(
                    Finding.from_json(leak["finding"]),
                    test,
                    worker,
                    leak["status"],
                    leak["level"],
                    leak["reason"],
                )
                for test, worker, leak in self._sightings
            )
        return self._groups_made


def _prepare(path: Path) -> None:
    """See before the first test that a report can be written, and make its folder.

    Raises:
        pytest.UsageError: it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
        if path.stat().st_size == 0:
            path.unlink()
    except OSError as error:
        raise pytest.UsageError(_describe_unwritable(path, error)) from error


def _describe_unwritable(path: Path, error: OSError) -> str:
    return compose_message(
        f"cannot write the leak report {path}: {error.strerror or error}",
        fix="name a file that can be written: --uno-report json:PATH",
        anchor="report-not-written",
    )
