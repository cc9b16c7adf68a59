"""What becomes of a finding: nothing, allowed, known, a warning, or the failure of its test.

The first of these that fits counts: its rule is off; the marker or the ini file allows it; the baseline knows it; its
rule only warns.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_uno.harness.marker import find_marker_place
from pytest_uno.harness.pytest_internals import is_expected_to_fail
from pytest_uno.leaks.allowances import Allowances, matching
from pytest_uno.leaks.policy import LeakLevels, covers
from pytest_uno.leaks.rules import RULES

if TYPE_CHECKING:
    from pytest_uno.harness.marker import TestOptions
    from pytest_uno.leaks.model import Finding

__all__ = [
    "INI_PLACE",
    "KNOWN_LEAKS",
    "WORKER_KEY",
    "Decision",
    "Everything",
    "LeakPolicy",
    "take_known_leaks",
]

INI_PLACE = ""
"""Where a pattern of the ini file stands; one of a marker stands at a test, class or module."""


class Everything:
    """Holds whatever is looked for: the baseline that is about to be written."""

    def __contains__(self, fingerprint: object) -> bool:
        return True


KNOWN_LEAKS: pytest.StashKey[Container[str]] = pytest.StashKey()
"""The fingerprints of the baseline; set before the first test, and only if there is a baseline."""


WORKER_KEY = "uno_known_leaks"
"""Where the controller of pytest-xdist tells its workers the same, None for everything."""


def take_known_leaks(config: pytest.Config) -> None:
    """Take in a worker of pytest-xdist what the controller has read; it may be that there is no baseline.

    Args:
        config: the configuration of the worker.
    """
    told: Mapping[str, Any] = getattr(config, "workerinput", {})
    if WORKER_KEY in told:
        known: list[str] | None = told[WORKER_KEY]
        config.stash[KNOWN_LEAKS] = Everything() if known is None else frozenset(known)


class Decision(NamedTuple):
    """What becomes of a finding, as it travels on the report of its test.

    Attributes:
        status: "new" fails the test, "baseline" and "allowed" do not.
        level: "warn" if a warning is made of it.
        reason: why it is allowed, in the user's words.
    """

    status: str
    level: str = "error"
    reason: str = ""


class LeakPolicy:
    """Decides in the process that runs the tests, and takes note of what was allowed.

    Args:
        config: the configuration of the run.
        allowances: what the ini file allows.
    """

    def __init__(self, config: pytest.Config, allowances: Allowances) -> None:
        self._config = config
        self._allowances = allowances
        self._used: set[tuple[str, str]] = set()

    def decide(
        self, item: pytest.Item, finding: Finding, levels: LeakLevels, of_marker: Allowances = ()
    ) -> Decision | None:
        """Say what becomes of a finding; None if nobody looks at its rule.

        Args:
            item: the test whose report carries it.
            finding: the finding.
            levels: the levels that count for whoever leaks.
            of_marker: what the test's marker allows.
        """
        level = levels.of(finding.rule)
        if level == "off":
            return None
        allowing = matching(of_marker, finding)
        self._used.update(("marker", allowance.pattern) for allowance in allowing)
        of_ini = matching(self._allowances, finding)
        self._used.update((INI_PLACE, allowance.pattern) for allowance in of_ini)
        if allowing or of_ini:
            return Decision("allowed", reason=(allowing or of_ini)[0].reason)
        if finding.fingerprint in self._config.stash.get(KNOWN_LEAKS, ()) and not is_expected_to_fail(item):
            return Decision("baseline")
        return Decision("allowed", level) if level == "warn" else Decision("new")

    def describe_uses(
        self, item: pytest.Item, options: TestOptions | None, *, is_judged: bool
    ) -> list[dict[str, Any]]:
        """Say which patterns a test has used, as plain JSON for its report; called once, in its teardown phase.

        Args:
            item: the test.
            options: its options; None if it is not ours, and a wider fixture ended with it.
            is_judged: whether it ran to its end, so that what it did not use is of no use to it.

        Returns:
            One entry for each pattern of its marker, and for each of the ini file that it has used. `used` is None
            where nobody can say.
        """
        used, self._used = self._used, set()
        uses: list[dict[str, Any]] = [
            {"where": INI_PLACE, "pattern": pattern, "used": True}
            for place, pattern in sorted(used)
            if place == INI_PLACE
        ]
        if options is not None and options.allowances:
            where, is_shared = find_marker_place(item, "allow_leaks")
            for allowance in options.allowances:
                is_used: bool | None = ("marker", allowance.pattern) in used
                if not is_used and not (is_judged and _looks_at(options.leak_levels, allowance.rule)):
                    is_used = None
                uses.append(
                    {"where": where, "shared": is_shared, "pattern": allowance.pattern, "used": is_used}
                )
        return uses

    def find_unwatched(self, levels: LeakLevels) -> list[str]:
        """Return the rules that a test does not look at, if that matters to anybody: to the baseline.

        Args:
            levels: the levels of the test.
        """
        return levels.unwatched if KNOWN_LEAKS in self._config.stash else []


def _looks_at(levels: LeakLevels, pattern: str) -> bool:
    return any(covers(pattern, code) and levels.of(code) != "off" for code in RULES)
