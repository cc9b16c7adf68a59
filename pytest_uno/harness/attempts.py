"""Which reports count: a test may be run again, as pytest-rerunfailures does, and only its last attempt is its word."""

from __future__ import annotations

import pytest

__all__ = ["LastAttempts"]


class LastAttempts:
    """Follows reports in the order in which they are logged."""

    def __init__(self) -> None:
        self._tried_again: set[tuple[str, str | None]] = set()

    def count(self, report: pytest.TestReport) -> bool:
        """Tell whether a report belongs to an attempt that counts, as far as can be told; must see every report.

        Args:
            report: the report. One that is marked "rerun" ends its attempt, whose teardown is still to come.
        """
        is_last = str(report.outcome) != "rerun"
        if is_last and not self._tried_again:
            return True
        attempt = report.nodeid, getattr(report, "worker_id", None)
        if not is_last:
            self._tried_again.add(attempt)
        elif report.when == "setup":
            self._tried_again.discard(attempt)
        return attempt not in self._tried_again
