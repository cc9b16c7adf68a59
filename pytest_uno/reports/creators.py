"""The functions that made what leaked: where a team begins to mend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_uno.reports.groups import Group

__all__ = ["Creator", "by_creator", "count_tests"]


@dataclass(frozen=True, slots=True)
class Creator:
    """A function that made what leaked.

    Attributes:
        file: the file that it stands in.
        function: its qualified name.
        groups: its leaks, those that most tests suffer from first.
        tests: how many tests suffer from any of them.
    """

    file: str
    function: str
    groups: tuple[Group, ...]
    tests: int


def by_creator(groups: Iterable[Group]) -> list[Creator]:
    """Part leaks by the function that made what leaked.

    Args:
        groups: the leaks.

    Returns:
        The functions, the one that most tests suffer from first. The order of `groups` does not matter.
    """
    parts: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        origin = group.finding.created[0]
        parts.setdefault((origin.file, origin.function), []).append(group)
    creators = [
        Creator(file, function, tuple(sorted(part, key=_urgency)), count_tests(part))
        for (file, function), part in parts.items()
    ]
    return sorted(creators, key=lambda creator: (-creator.tests, creator.file, creator.function))


def count_tests(groups: Iterable[Group]) -> int:
    """Count the tests that suffer from any of some leaks.

    Args:
        groups: the leaks.
    """
    return len({sighting.test for group in groups for sighting in group.seen})


def _urgency(group: Group) -> tuple[int, str, int, str]:
    return -len(group.tests), group.finding.rule, group.finding.created[0].line, group.fingerprint
