from __future__ import annotations

import pytest

from pytest_uno.harness.exploration_summary import ExploredCounts, _holds, _schedules


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        (ExploredCounts(9, 3, 3, False), "all 3 single holds"),
        (ExploredCounts(9, 5, 3, False), "3 of 5 single holds"),
    ],
)
def test_holds_are_told_as_far_as_they_were_tried(counts: ExploredCounts, text: str) -> None:
    assert _holds(counts) == text


def test_one_schedule_is_singular() -> None:
    assert (_schedules(1), _schedules(2)) == ("1 schedule", "2 schedules")
