"""What a run has to say of the baseline and of what is allowed, put together for the leak report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_uno.harness.allowance_audit import AllowanceAudit
from pytest_uno.harness.settings import SETTINGS

if TYPE_CHECKING:
    import pytest

    from pytest_uno.harness.baseline import BaselineKeeper
    from pytest_uno.harness.run_scope import RunScope

__all__ = ["PolicyReport"]


class PolicyReport:
    """The parts of a run that follow the baseline and the patterns; they are registered when it is made.

    Args:
        config: the configuration of the controller, or of a run without workers.
        scope: what the run looks at; must follow it from its beginning.
    """

    def __init__(self, config: pytest.Config, scope: RunScope) -> None:
        plugins = config.pluginmanager
        self.audit = AllowanceAudit(config, scope)
        """Follows the patterns that allow leaks; told by the collector what tests have used."""
        plugins.register(self.audit, "uno-allowance-audit")
        self._keeper: BaselineKeeper | None = None
        path = config.stash[SETTINGS].leak_policy.baseline
        if path is not None:
            from pytest_uno.harness.baseline import BaselineKeeper

            self._keeper = BaselineKeeper(config, scope, path)
            plugins.register(self._keeper, "uno-baseline")

    @property
    def problem(self) -> str | None:
        """Why the baseline could not be written; None if nothing went wrong."""
        return None if self._keeper is None else self._keeper.problem

    def describe(self, *, lists_known: bool) -> list[str]:
        """Say what there is to say.

        Args:
            lists_known: whether to list what the baseline knows, too.

        Returns:
            The lines; mostly none.
        """
        news, unused = None if self._keeper is None else self._keeper.news, self.audit.unused
        if news is None and not unused:
            return []
        from pytest_uno.reports.policy_summary import describe_baseline, describe_unused

        lines = [] if news is None else describe_baseline(news, lists=lists_known)
        return lines + describe_unused(unused)
