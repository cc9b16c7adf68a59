"""The controller's side: gathers the leaks that travelled on reports, prints the leak report, writes the files.

With pytest-xdist the workers judge and the controller gathers; without it, both are one process.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import pytest

from pytest_uno.core.paused_collections import collections_paused
from pytest_uno.harness.attempts import LastAttempts
from pytest_uno.harness.pytest_internals import add_junit_property
from pytest_uno.harness.report_files import append_text, write_whole
from pytest_uno.harness.report_targets import (
    ReportTarget,
    check_targets,
    describe_unwritable,
    find_ci_targets,
    find_folder,
)
from pytest_uno.harness.settings import SETTINGS

if TYPE_CHECKING:
    from pytest_uno.harness.exploration_summary import ExplorationSummary
    from pytest_uno.harness.policy_report import PolicyReport
    from pytest_uno.reports.groups import Group, RunSummary

__all__ = ["LeakCollector"]

_REPORTS = "uno-collector-reports"

_MARKUP: dict[str, dict[str, bool]] = {
    "error": {"red": True},
    "warn": {"yellow": True},
    "plain": {},
}


class LeakCollector:
    """The plugin object that gathers and reports; nothing of the reports is imported before there is a need."""

    def __init__(self, config: pytest.Config, policy: PolicyReport, exploration: ExplorationSummary) -> None:
        self._config = config
        self._policy = policy
        self._exploration = exploration
        self._attempts = LastAttempts()
        asked = config.stash[SETTINGS].reports
        formats = {target.format for target in asked}
        # What the service takes by itself must not stop a run, so it is not looked at before there is something.
        self._of_service = tuple(target for target in find_ci_targets() if target.format not in formats)
        self._asked = () if config.option.collectonly else asked
        self._sightings: list[tuple[str, str | None, dict[str, Any]]] = []
        self._tests: set[str] = set()
        self._written: list[str] = []
        self._printed: list[str] = []
        self._problems: list[str] = []
        self._groups_made: list[Group] | None = None
        check_targets(self._asked)

    def listen(self) -> None:
        """Take what reports carry from here on; must be called before the first test that is ours runs."""
        plugins = self._config.pluginmanager
        if not plugins.has_plugin(_REPORTS):
            plugins.register(_Reports(self), _REPORTS)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self) -> None:
        """Listen where tests run in the workers of pytest-xdist."""
        self.listen()

    def take(self, report: pytest.TestReport) -> None:
        """Gather what a report carries; an attempt that is run again is not the last word."""
        is_last = self._attempts.count(report)
        leaks: list[dict[str, Any]] | None = getattr(report, "uno_leaks", None)
        if leaks is None or not is_last:
            return
        self._tests.add(report.nodeid)
        if leaks:
            worker = getattr(report, "worker_id", None)
            self._sightings.extend((report.nodeid, worker, leak) for leak in leaks)
        self._policy.audit.take(getattr(report, "uno_allowances", ()))
        self._exploration.take(report)

    # The hooks that make the reports pause collection, and set off none: what is due then is the garbage of the tests.
    # In a large run that takes longer than the reports, and pytest collects everything right after.
    @pytest.hookimpl(tryfirst=True)
    @collections_paused()
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Make the reports that were asked for, also when there is nothing to report."""
        if self._tests:
            self._count_for_junit()
        for target in self._asked:
            problem = self._make(target)
            if problem is not None:
                session.exitstatus = session.exitstatus or pytest.ExitCode.USAGE_ERROR
        if self._sightings:
            for target in self._of_service:
                self._make(target)

    @pytest.hookimpl
    @collections_paused()
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the leak report; a clean run prints nothing, or one line with -v."""
        asked = any(target.format == "terminal" and target.path is None for target in self._asked)
        notes = self._policy.describe(lists_known=terminalreporter.hasopt("L"))
        if self._sightings or notes:
            terminalreporter.ensure_newline()  # the section itself does not end the line of dots
            terminalreporter.section("leak report")
        if self._sightings:
            from pytest_uno.reports.terminal import summarize

            lines = summarize(self._groups(), self._summary())
            for line in lines:
                terminalreporter.write_line(line.text, **_MARKUP[line.kind])
            if len(lines) > 1 and notes:  # the list of leaks, and not only how many are allowed
                terminalreporter.write_line("")
        elif asked or (self._tests and self._config.get_verbosity() > 0):
            number = len(self._tests)
            terminalreporter.write_line(f"leaks: none in {number} {'test' if number == 1 else 'tests'}")
        for note in notes:
            terminalreporter.write_line(note)
        for problem in (*self._problems, *filter(None, [self._policy.problem])):
            terminalreporter.write_line(problem, red=True)
        if self._written and (self._sightings or self._config.get_verbosity() > 0):
            terminalreporter.write_line("wrote " + ", ".join(self._written))
        for text in self._printed:
            terminalreporter.ensure_newline()
            terminalreporter.write(text)

    def _make(self, target: ReportTarget) -> str | None:
        """Make one report; return what went wrong, which must not hide the results of the tests."""
        if target.format == "terminal" and target.path is None:
            return None
        from pytest_uno.reports.formats import render_report

        text = render_report(target.format, self._groups(), self._summary())
        if target.path is None:
            self._printed.append(text)
            return None
        try:
            (append_text if target.appends else write_whole)(target.path, text)
        except OSError as error:
            problem = describe_unwritable(target, error)
            self._problems.append(problem)
            return problem
        self._written.append(f"{target.format} {target.path}")
        return None

    def _count_for_junit(self) -> None:
        distinct = len(self._groups()) if self._sightings else 0
        new = sum(group.status == "new" for group in self._groups()) if self._sightings else 0
        for name, number in (
            ("uno_tests_judged", len(self._tests)),
            ("uno_leaks_total", len(self._sightings)),
            ("uno_leaks_distinct", distinct),
            ("uno_leaks_new", new),
        ):
            add_junit_property(self._config, name, number)

    def _summary(self) -> RunSummary:
        from pytest_uno.reports.groups import RunSummary

        root = self._config.rootpath
        return RunSummary(len(self._tests), platform.python_version(), root.name, find_folder(root))

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


class _Reports:
    """The plugin object that hears of reports, three times for each test: a suite without tests of ours has none.

    It is the one for all that travels on reports.

    Args:
        collector: takes them.
    """

    def __init__(self, collector: LeakCollector) -> None:
        self._collector = collector

    @pytest.hookimpl(trylast=True)  # after the terminal's own line
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Pass a report on."""
        self._collector.take(report)
