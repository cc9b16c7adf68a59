"""Where two runs of a schedule part, and how that is told."""

from __future__ import annotations

import asyncio

from pytest_uno.explore import explore
from pytest_uno.explore.decision_tree import DecisionTree


def test_same_steps_and_another_failure() -> None:
    runs = 0

    async def changes_its_mind() -> None:
        nonlocal runs
        runs += 1
        if runs % 2:
            raise LookupError("odd")
        raise LookupError("even")

    report = explore(changes_its_mind)
    assert report.is_deterministic is False
    assert "NOT DETERMINISTIC: 2 of 3 replays equal." in report.explanation
    assert "the first step that differs: 2" in report.explanation  # there is one only
    assert "once:" not in report.explanation


def test_one_run_is_over_before_the_other() -> None:
    runs = 0
    children: list[asyncio.Task[None]] = []

    async def child() -> None:
        return None

    async def has_a_child_at_times() -> None:
        nonlocal runs
        runs += 1
        if runs % 2:
            children.append(asyncio.create_task(child()))
        raise LookupError

    report = explore(has_a_child_at_times)
    assert report.is_deterministic is False
    assert "once:  the run was over" in report.explanation
    assert "ran: start -> returned" in report.explanation


def test_a_tree_that_is_full_never_says_that_all_has_run() -> None:
    for length, is_complete in ((100, True), (20_001, False)):
        tree = DecisionTree()
        rest = [(1, 0)] * length
        tree.add([(2, 0), *rest])
        tree.add([(2, 1)])
        assert tree.is_complete is is_complete
