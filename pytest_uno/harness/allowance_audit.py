"""Which patterns that allow leaks are of no use: the controller's side of `LeakPolicy.describe_uses`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_uno.core.paused_collections import collections_paused
from pytest_uno.harness.leak_policy import INI_PLACE
from pytest_uno.harness.settings import SETTINGS
from pytest_uno.leaks.policy import covers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_uno.harness.run_scope import RunScope

__all__ = ["AllowanceAudit"]


class AllowanceAudit:
    """The plugin object that gathers what tests have used.

    Args:
        config: the configuration of the run.
        scope: what the run has looked at.
    """

    def __init__(self, config: pytest.Config, scope: RunScope) -> None:
        self._settings = config.stash[SETTINGS]
        self._scope = scope
        self._uses: dict[tuple[str, str], bool | None] = {}
        self._shared: set[str] = set()
        self._unused: list[tuple[str, str]] = []

    @property
    def unused(self) -> list[tuple[str, str]]:
        """Where each pattern stands that was of no use, empty for the ini file, and the pattern."""
        return self._unused

    def take(self, uses: Iterable[dict[str, Any]]) -> None:
        """Take what the report of a test carries, of the attempt that counts.

        Args:
            uses: what `LeakPolicy.describe_uses` has said.
        """
        for use in uses:
            key = use["where"], use["pattern"]
            if use.get("shared"):
                self._shared.add(use["where"])
            # One use is enough; else one test that cannot say is enough for nobody to say.
            if self._uses.get(key, False) is not True and (use["used"] is not False or key not in self._uses):
                self._uses[key] = use["used"]

    @pytest.hookimpl(tryfirst=True)
    @collections_paused()
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Work out what was of no use; of what other tests share, only a complete run can say."""
        is_complete = self._scope.is_complete(session)
        self._unused = [
            (where, pattern)
            for (where, pattern), is_used in self._uses.items()
            if is_used is False and (is_complete or where not in self._shared)
        ]
        # A test that failed may have left what the pattern is there for.
        if session.exitstatus == pytest.ExitCode.OK and self._scope.is_whole(session):
            levels = self._settings.leak_levels
            self._unused += [
                (INI_PLACE, allowance.pattern)
                for allowance in self._settings.leak_policy.allowances
                if (INI_PLACE, allowance.pattern) not in self._uses
                and not any(covers(allowance.rule, code) for code in levels.unwatched)
            ]
