"""Each bug of the corpus is found, at every seed, and no fixed twin is flagged."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_uno.explore import explore
from tests.explore.corpus import ORDER  # type: ignore[attr-defined]
from tests.explore.schedules_run import LONG, SEEDS

#: Those that need more than the defaults: a time-out that fires, or a delay of over ten times an operation's own time.
NEEDS: dict[str, dict[str, Any]] = {
    "o10": {"timeouts": True},
    "o14": {"timeouts": True},
    "o19": {"jitter": 50},
    "o20": {"jitter": 50},
}

MOST: dict[str, Any] = {"timeouts": True, "jitter": 50}

bugs = pytest.mark.parametrize("bug", ORDER, ids=lambda bug: bug.id)


@bugs
@pytest.mark.parametrize("seed", SEEDS)
def test_bug_is_found(bug: Any, seed: int) -> None:
    report = explore(bug.buggy, schedules=200, seed=seed, **NEEDS.get(bug.id, {}))
    assert report.failure is not None
    assert report.found_at is not None
    assert 1 < report.found_at <= 200
    assert report.is_deterministic


@bugs
@pytest.mark.parametrize("wide", [False, True], ids=["defaults", "most"])
def test_fixed_twin_passes(bug: Any, wide: bool) -> None:
    report = explore(bug.fixed, schedules=LONG, **(MOST if wide else {}))
    assert report.failure is None, report.explanation
    assert report.found_at is None
