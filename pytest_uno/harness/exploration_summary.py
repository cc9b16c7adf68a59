"""What the terminal says of explored tests: a line for each with -v, and one for all of them in the end."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

__all__ = ["EXPLORATION", "ExplorationSummary", "ExploredCounts"]


class ExploredCounts(NamedTuple):
    """What the terminal says of one explored test; travels on its report as plain JSON.

    Attributes:
        runs: schedules that have run.
        single_holds: how many schedules with one hold there are.
        holds_done: how many of them have run.
        failed: whether a schedule has failed.
    """

    runs: int
    single_holds: int
    holds_done: int
    failed: bool


EXPLORATION: pytest.StashKey[ExploredCounts] = pytest.StashKey()
"""On an item, when it was explored."""


class ExplorationSummary:
    """The controller's plugin object that counts explored tests.

    Args:
        config: the configuration of the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._tests: dict[str, ExploredCounts] = {}

    def take(self, report: pytest.TestReport) -> None:
        """Count a test; must be told once its own line is printed. The last attempt at it is the one that counts.

        Args:
            report: of its last phase.
        """
        told: dict[str, Any] | None = getattr(report, "uno_explored", None)
        if told is None:
            return
        counts = self._tests[report.nodeid] = ExploredCounts(**told)
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self._config.get_verbosity() > 0:
            reporter.ensure_newline()
            reporter.write_line(f"  explored {_schedules(counts.runs)}, {_holds(counts)}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say how much was explored."""
        if not self._tests:
            return
        number, runs = len(self._tests), sum(counts.runs for counts in self._tests.values())
        failures = sum(counts.failed for counts in self._tests.values())
        tests = f"{number} test{'s' * (number != 1)}"
        failed = f"{failures} failure{'s' * (failures != 1)}"
        terminalreporter.write_line(f"explored: {tests}, {_schedules(runs)}, {failed}")


def _schedules(number: int) -> str:
    return f"{number} schedule{'s' * (number != 1)}"


def _holds(counts: ExploredCounts) -> str:
    if counts.holds_done >= counts.single_holds:
        return f"all {counts.single_holds} single holds"
    return f"{counts.holds_done} of {counts.single_holds} single holds"
