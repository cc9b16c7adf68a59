"""What the detectors of the database share: whose something is, where it was made, and how a finding is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from pytest_uno.database.own_work import is_own_work
from pytest_uno.leaks.judging import Ledger
from pytest_uno.leaks.model import Finding, OwnerInfo
from pytest_uno.leaks.owners import OWNER, Owner
from pytest_uno.leaks.sites import Site, Sites
from pytest_uno.leaks.tasks.task_births import TaskBirths

__all__ = ["Recorder"]


@dataclasses.dataclass(frozen=True, slots=True)
class Recorder:
    """Knows who is at work, and writes findings.

    Attributes:
        sites: records and resolves the sites.
        births: knows the test that runs.
        ledger: takes what goes before it was closed.
        is_expected: says whether the test records warnings just now.
    """

    sites: Sites
    births: TaskBirths
    ledger: Ledger
    is_expected: Callable[[], bool]

    def owner(self) -> Owner | None:
        """Return who is at work; None if it is nobody, or the sandbox itself."""
        owner = OWNER.get() or self.births.current
        return None if owner is None or is_own_work() else owner

    def site(self) -> Site:
        """Record where the caller's caller was called from."""
        return self.sites.capture() or self.sites.capture_library()

    def find(
        self, rule: str, subject: str, target: str, site: Site, owner: OwnerInfo, details: str = ""
    ) -> Finding:
        """Write a finding.

        Args:
            rule: the code of the rule.
            subject: what leaked, one phrase.
            target: the name of its class.
            site: where it was made.
            owner: whose it is.
            details: further text.
        """
        return Finding(
            rule=rule,
            subject=subject,
            target=target,
            created=self.sites.resolve(site),
            waiting_at=(),
            awaited_by=None,
            owner=owner,
            details=details,
        )
